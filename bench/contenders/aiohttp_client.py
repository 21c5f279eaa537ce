"""Python's aiohttp: IN_FLIGHT tasks, one client session, its connections kept; it has no HTTP/2.

    aiohttp_client.py many COUNT IN_FLIGHT
"""

import asyncio
import os
import ssl
import sys

import aiohttp


def read_accounts():
    accounts = []
    with open(os.environ["BENCH_ACCOUNTS"], encoding="utf-8") as lines:
        for line in lines:
            _, _, url, agent, header = line.rstrip("\n").split("\t")
            name, key = header.split(": ", 1)
            accounts.append((url, {"User-Agent": agent, "Accept": "application/json", name: key}))
    return accounts


async def check(session, account):
    url, headers = account
    async with session.get(url, headers=headers) as response:
        assert response.status == 200
        return await response.json()


async def check_all(count, in_flight):
    accounts = read_accounts()
    answers = [None] * count
    numbers = iter(range(count))
    # The trust of an https request is read once, as aiohttp itself does; SSL_CERT_DIR is OpenSSL's own variable.
    trust = ssl.create_default_context() if accounts[0][0].startswith("https") else None
    connector = aiohttp.TCPConnector(limit=in_flight, ssl=trust)
    timeout = aiohttp.ClientTimeout(total=10)

    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:

        async def work():
            for i in numbers:
                answers[i] = await check(session, accounts[i % len(accounts)])

        await asyncio.gather(*(work() for _ in range(in_flight)))
    return answers


print("ANSWERED", sum(answer is not None for answer in asyncio.run(check_all(int(sys.argv[2]), int(sys.argv[3])))))
