/** pg_dump 18 for servers of every major: the npm servers come without client programs, so it is WebAssembly in a thread, and we are its socket. */
import { once } from 'node:events'
import { type Socket, connect } from 'node:net'
import { join } from 'node:path'
import { type MessagePort, MessageChannel, Worker } from 'node:worker_threads'
import type { PostgresServer } from '../../src/server/postgres.ts'

/** Messages after which a client waits: Query, FunctionCall, Sync, Flush; and Terminate. */
const AWAIT_REPLY = 'QFSH'
const TERMINATE = 'X'
/** Messages that end a reply: ReadyForQuery, CopyInResponse. */
const END_REPLY = 'ZG'

/**
 * A database as SQL: schema, rows as INSERT, large objects. Each byte is one character, whatever the database's encoding. The random word of psql's guard
 * against injected commands is not in it. Throws with what pg_dump says if it fails.
 */
export async function pgDump(cluster: PostgresServer, database: string): Promise<string> {
  const socket = connect(join(cluster.socketDir, `.s.PGSQL.${cluster.port}`))
  await once(socket, 'connect')
  const { port1: ours, port2: theirs } = new MessageChannel()
  const woken = new Int32Array(new SharedArrayBuffer(4))
  const workerData = { port: theirs, woken, args: ['--quote-all-identifiers', '-d', database] }
  const worker = new Worker(new URL('./pgdumpworker.mjs', import.meta.url), { workerData, transferList: [theirs], execArgv: [] })
  try {
    return await new Promise<string>((resolve, reject) => {
      relay(socket, ours, woken, reject)
      worker.once('message', resolve).once('error', reject)
      worker.once('exit', (code) => reject(new Error(`pg_dump of ${database}: its thread ended with code ${code}`)))
    })
  } finally {
    socket.destroy()
    ours.close()
    await worker.terminate()
  }
}

/** Carries requests of pg_dump, which sleeps until it has the whole reply, to the server and replies back. */
function relay(socket: Socket, pgDump: MessagePort, woken: Int32Array, fail: (error: Error) => void): void {
  const requests = new MessageStream(true)
  const replies = new MessageStream(false)
  let chunks: Buffer[] = []
  const answer = (): void => {
    pgDump.postMessage(Buffer.concat(chunks))
    chunks = []
    Atomics.store(woken, 0, 1)
    Atomics.notify(woken, 0)
  }
  pgDump.on('message', (bytes: Uint8Array) => {
    const last = requests.take(bytes)
    socket.write(bytes)
    // libpq sends a long request in pieces: the server answers none but the last.
    if (last === undefined || !(last === '' || AWAIT_REPLY.includes(last))) answer()
  })
  socket.on('data', (bytes) => {
    chunks.push(bytes)
    const last = replies.take(bytes)
    if (last !== undefined && END_REPLY.includes(last)) answer()
  })
  socket.on('error', fail)
  socket.on('close', () => {
    if (requests.last !== TERMINATE) fail(new Error(`the server left pg_dump: ${Buffer.concat(chunks).toString('latin1')}`))
  })
}

/** Finds the messages in a stream of protocol version 3: one byte of type, which the first request has not, and four of length, itself included. */
class MessageStream {
  #typeLength: number
  #rest: Buffer = Buffer.alloc(0)
  /** Type of the latest whole message; '' is the startup message. */
  last = ''

  constructor(startsUntyped: boolean) {
    this.#typeLength = startsUntyped ? 0 : 1
  }

  /** Type of the last message if the stream ends with a whole one now. */
  take(bytes: Uint8Array): string | undefined {
    const stream = Buffer.concat([this.#rest, bytes])
    let at = 0
    while (at + this.#typeLength + 4 <= stream.length) {
      const end = at + this.#typeLength + stream.readUInt32BE(at + this.#typeLength)
      if (end > stream.length) break
      this.last = stream.toString('latin1', at, at + this.#typeLength)
      this.#typeLength = 1
      at = end
    }
    this.#rest = stream.subarray(at)
    return this.#rest.length === 0 ? this.last : undefined
  }
}
