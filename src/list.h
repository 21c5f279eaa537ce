/* A doubly linked list that runs through its members: no allocation, so no failure. */
#ifndef VOICECREDITS_LIST_H
#define VOICECREDITS_LIST_H

#include <stdbool.h>
#include <stddef.h>

/* A member's link, or the list's own head. A link that is in no list points at itself. */
struct list {
    struct list *next, *previous;
};

#define list_member(link, type, field) ((type *)(void *)((char *)(link)-offsetof(type, field)))

static inline void list_init(struct list *list)
{
    list->next = list->previous = list;
}

static inline bool list_empty(const struct list *list)
{
    return list->next == list;
}

static inline void list_append(struct list *list, struct list *link)
{
    link->previous = list->previous;
    link->next = list;
    list->previous->next = link;
    list->previous = link;
}

static inline void list_prepend(struct list *list, struct list *link)
{
    list_append(list->next, link);
}

static inline void list_remove(struct list *link)
{
    link->previous->next = link->next;
    link->next->previous = link->previous;
    list_init(link);
}

/* The first link, taken off the list; NULL when the list is empty. */
static inline struct list *list_take(struct list *list)
{
    if (list_empty(list)) return NULL;
    struct list *link = list->next;
    list_remove(link);
    return link;
}

/* Moves all of `from` to the end of `to`. */
static inline void list_move(struct list *to, struct list *from)
{
    if (list_empty(from)) return;
    from->next->previous = to->previous;
    to->previous->next = from->next;
    from->previous->next = to;
    to->previous = from->previous;
    list_init(from);
}

#endif
