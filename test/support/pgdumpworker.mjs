/**
 * The thread in which pg_dump 18 runs as WebAssembly (@electric-sql/pglite-tools). It reads and writes synchronously: each request goes to the thread that
 * holds the socket (pgdump.ts), and we sleep until the reply is there. The package has PGlite, a whole Postgres, as a peer for a type only: package.json puts pg,
 * which we have anyway, in its place.
 */
import { parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads'

const TIMEOUT_MS = 60_000
const { port, woken, args } = workerData

// The package reads the dump as UTF-8, and would lose what is not: each byte becomes one character here, before it makes its decoder.
globalThis.TextDecoder = class {
  decode(bytes) {
    return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1')
  }
}
const { pgDump } = await import('@electric-sql/pglite-tools/pg_dump')

/** pg_dump's end of the connection. The other two members only keep the search_path of a session that it shares with others; this one is its own. */
const pg = {
  execProtocolRawStream(bytes, { onRawData }) {
    Atomics.store(woken, 0, 0)
    port.postMessage(bytes.slice())
    // The value counts, not the waking: the reply before may be seen before its notify, which then wakes us here.
    while (Atomics.load(woken, 0) === 0) {
      if (Atomics.wait(woken, 0, 0, TIMEOUT_MS) === 'timed-out') throw new Error(`pg_dump: no answer from the server for ${TIMEOUT_MS} ms`)
    }
    const { message } = receiveMessageOnPort(port)
    if (message.length > 0) onRawData(message)
  },
  query: async () => ({ rows: [{ search_path: '' }] }),
  exec: async () => {},
}

const file = await pgDump({ pg, args })
parentPort.postMessage(await file.text())
