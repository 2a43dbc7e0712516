/** A way to a server on which some requests fail. Each goes to the server as it came, so that signatures stay right. */
import { once } from 'node:events'
import { createServer, type IncomingMessage, request as send, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Random } from '../support/random.ts'

const LOCAL = '127.0.0.1'
const KINDS = ['before', 'no reply', 'half a reply', 'unavailable'] as const

export class FailingProxy {
  readonly failed: Record<(typeof KINDS)[number], number> = { 'before': 0, 'no reply': 0, 'half a reply': 0, 'unavailable': 0 }
  private readonly server: Server
  private readonly target: URL
  private readonly percent: number
  private readonly random: Random

  private constructor(target: string, percent: number, random: Random) {
    this.target = new URL(target)
    this.percent = percent
    this.random = random
    this.server = createServer((request, response) => void this.serve(request, response))
  }

  static async start(target: string, percent: number, random: Random): Promise<FailingProxy> {
    const proxy = new FailingProxy(target, percent, random)
    proxy.server.listen(0, LOCAL)
    await once(proxy.server, 'listening')
    return proxy
  }

  get endpoint(): string {
    return `http://${LOCAL}:${(this.server.address() as AddressInfo).port}`
  }

  async stop(): Promise<void> {
    this.server.closeAllConnections()
    await new Promise((resolve) => this.server.close(resolve))
  }

  private async serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const kind = this.random.chance(this.percent) ? KINDS[this.random.int(KINDS.length)]! : undefined
    if (kind !== undefined) this.failed[kind]++
    const body = await whole(request)
    if (kind === 'before') return void request.socket.destroy()
    if (kind === 'unavailable') {
      response.writeHead(503, { 'content-type': 'application/xml' })
      return void response.end('<?xml version="1.0"?><Error><Code>SlowDown</Code><Message>reduce your request rate</Message></Error>')
    }
    const onward = send({ host: this.target.hostname, port: this.target.port, method: request.method, path: request.url, headers: request.headers })
    onward.on('error', () => request.socket.destroy())
    onward.on('response', (reply) => void this.pass(reply, response, kind))
    onward.end(body)
  }

  private async pass(reply: IncomingMessage, response: ServerResponse, kind: (typeof KINDS)[number] | undefined): Promise<void> {
    const body = await whole(reply)
    if (kind === 'no reply') return void response.socket?.destroy()
    response.writeHead(reply.statusCode!, reply.headers)
    if (kind !== 'half a reply' || body.length === 0) return void response.end(body)
    response.write(body.subarray(0, body.length >> 1), () => response.socket?.destroy())
  }
}

async function whole(message: IncomingMessage): Promise<Buffer> {
  const pieces: Buffer[] = []
  for await (const piece of message) pieces.push(piece as Buffer)
  return Buffer.concat(pieces)
}
