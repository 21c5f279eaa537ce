/* The one place where the version stands. */
#ifndef VOICECREDITS_VERSION_H
#define VOICECREDITS_VERSION_H

#define VOICECREDITS_VERSION "0.1.0"

#endif
