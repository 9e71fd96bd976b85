#!/usr/bin/env node
// The time from the load of a page to its first echoed message: examples/browser beside werift, with
// the same browser and the same page code for both. Prints the median of several runs; gates nothing.

import { execSync, spawn, spawnSync } from "node:child_process";
import { createSocket } from "node:dgram";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";

const ADDRESS = "192.0.2.1";
const ROOT = new URL("../../", import.meta.url).pathname;
const built = (name) => createRequire(`${ROOT}target/interop/browser/${name}/`)(name);

// An offer with all candidates in one request, the answer in its response: the least signalling that
// there is. Both sides of the comparison have the same.
const PAGE = `<!doctype html><title>first echo</title><link rel="icon" href="data:,"><script>
window.took = null;
(async () => {
  const connection = new RTCPeerConnection();
  const channel = connection.createDataChannel("page");
  channel.onopen = () => channel.send("hello");
  channel.onmessage = () => { window.took ??= performance.now(); };
  await connection.setLocalDescription();
  await new Promise((resolve) => {
    const check = () => connection.iceGatheringState === "complete" && resolve();
    connection.onicegatheringstatechange = check;
    check();
  });
  const answer = await fetch("offer", { method: "POST", body: JSON.stringify(connection.localDescription) });
  await connection.setRemoteDescription(await answer.json());
})();
</script>`;

/** werift always asks a STUN server, and waits for it: this one answers at once. */
function stunServer(address, port) {
  const socket = createSocket("udp4", (request, from) => {
    const cookie = Buffer.from([0x21, 0x12, 0xa4, 0x42]);
    const host = Buffer.from(from.address.split(".").map((byte, index) => Number(byte) ^ cookie[index]));
    const mapped = Buffer.from([0x00, 0x20, 0, 8, 0, 1, 0, 0, ...host]);
    mapped.writeUInt16BE(from.port ^ 0x2112, 6);
    socket.send(Buffer.concat([Buffer.from([0x01, 0x01, 0, mapped.length]), request.subarray(4, 20), mapped]), from.port, from.address);
  });
  socket.bind(port, address);
  return socket;
}

/** werift behind that page. */
async function werift() {
  const { RTCPeerConnection } = built("werift");
  const stun = stunServer(ADDRESS, 3478);
  const connections = [];
  const server = createServer(async (request, response) => {
    if (request.method !== "POST") {
      response.writeHead(200, { "Content-Type": "text/html" });
      return response.end(request.url === "/" ? PAGE : "");
    }
    let body = "";
    for await (const part of request) body += part;
    const connection = new RTCPeerConnection({ iceServers: [{ urls: `stun:${ADDRESS}:3478` }] });
    connections.push(connection);
    connection.onDataChannel.subscribe((channel) => {
      channel.onMessage.subscribe((data) => channel.send(data));
    });
    await connection.setRemoteDescription(JSON.parse(body));
    await connection.setLocalDescription(await connection.createAnswer());
    response.writeHead(200, { "Content-Type": "application/json" });
    response.end(JSON.stringify(connection.localDescription));
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${server.address().port}/`,
    took: (page) => page.evaluate(() => window.took),
    async close() {
      for (const connection of connections) await connection.close();
      server.close();
      stun.close();
    },
  };
}

/** examples/browser with its own page, which does all that this one does and draws besides. */
async function frazil(path, signalling) {
  const process = spawn(path, ["--port", "0"], { stdio: ["ignore", "pipe", "inherit"] });
  const lines = createInterface({ input: process.stdout });
  const url = await new Promise((resolve, reject) => {
    lines.once("line", resolve);
    process.once("error", reject);
  });
  return {
    url: `${url}?signalling=${signalling}`,
    took: (page) => page.evaluate(() => frazil.firstEcho),
    close: () => process.kill(),
  };
}

async function measure(browser, side, runs) {
  const all = [];
  for (let run = 0; run <= runs; run += 1) {
    const page = await browser.newPage();
    await page.goto(side.url);
    let took = null;
    for (let wait = 0; took === null; wait += 1) {
      if (wait > 1000) throw new Error(`no echo from ${side.url}`);
      await new Promise((resolve) => setTimeout(resolve, 10));
      took = await side.took(page);
    }
    // The first one warms up.
    if (run > 0) all.push(took);
    await page.close();
  }
  all.sort((a, b) => a - b);
  return { median: all[Math.floor(all.length / 2)], low: all[0], high: all.at(-1) };
}

// In a network namespace of its own, with one address behind a default route: all that a browser
// without a media permission uses.
if (process.env.FRAZIL_HOST === undefined) {
  const user = process.getuid() === 0 ? [] : ["--user", "--map-root-user"];
  const words = [...user, "--net", process.execPath, ...process.argv.slice(1)];
  const { status } = spawnSync("unshare", words, { stdio: "inherit", env: { ...process.env, FRAZIL_HOST: "alone" } });
  process.exit(status ?? 1);
}
for (const command of [
  "ip link set lo up", "ip link add wire type veth peer name end", "ip link set wire up", "ip link set end up",
  `ip address add ${ADDRESS}/24 dev wire`, "ip route add default dev wire",
]) execSync(command);

const { values: options } = parseArgs({
  options: {
    program: { type: "string", default: ROOT + "examples/browser/target/release/frazil-browser" },
    chromium: { type: "string", default: "/usr/bin/chromium" },
    runs: { type: "string", default: "11" },
  },
});
const browser = await built("puppeteer-core").launch({
  executablePath: options.chromium, headless: true,
  args: ["--no-sandbox", "--disable-background-networking", "--disable-gpu", "--disable-quic", "--no-first-run",
    // werift does not resolve names.
    "--disable-features=WebRtcHideLocalIpsWithMdns"],
});
const sides = {
  "frazil, candidates one by one": await frazil(options.program, "trickle"),
  "frazil, candidates all at once": await frazil(options.program, "complete"),
  "werift, candidates all at once": await werift(),
};
for (const [name, side] of Object.entries(sides)) {
  const { median, low, high } = await measure(browser, side, Number(options.runs));
  console.log(`${name.padEnd(32)} median ${median.toFixed(0)} ms (${low.toFixed(0)} to ${high.toFixed(0)})`);
}
await browser.close();
for (const side of Object.values(sides)) await side.close();
process.exit(0);
