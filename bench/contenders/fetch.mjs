// Node's fetch: IN_FLIGHT loops, its connections kept; it has no HTTP/2.
//
//   fetch.mjs many COUNT IN_FLIGHT

import { readFileSync } from "node:fs";

const accounts = readFileSync(process.env.BENCH_ACCOUNTS, "utf8").trimEnd().split("\n").map((line) => {
  const [, , url, agent, header] = line.split("\t");
  const [name, key] = header.split(": ");
  return { url, headers: { "User-Agent": agent, Accept: "application/json", [name]: key } };
});

async function check({ url, headers }) {
  const response = await fetch(url, { headers, signal: AbortSignal.timeout(10000) });
  if (response.status !== 200) throw new Error(`status ${response.status}`);
  return response.json();
}

const count = Number(process.argv[3]);
const inFlight = Number(process.argv[4]);
const answers = [];
let started = 0;

async function work() {
  while (started < count) {
    const i = started++;
    answers[i] = await check(accounts[i % accounts.length]);
  }
}

await Promise.all(Array.from({ length: inFlight }, work));
console.log(`ANSWERED ${answers.filter((answer) => answer !== undefined).length}`);
process.exit(0);
