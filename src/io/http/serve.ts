import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { EnvironmentError } from '../../common/errors.ts'

/** Answers requests; it never rejects. */
type Handler = (request: Request) => Promise<Response>

export interface ServeOptions {
  /** Name or address to bind. */
  readonly host: string
  /** 0: any that is free. */
  readonly port: number
  /**
   * Refuses requests that name another host than this machine, by its loopback names: a page in a browser could make a name of its own lead here.
   * @default false
   */
  readonly localNamesOnly?: boolean
}

export interface HttpServer {
  /** `http://localhost:8181`. */
  readonly url: string
  /** Takes no more requests; resolves when those that run are answered, and cuts connections off that are not done a moment later. */
  close(): Promise<void>
}

/** The most bytes of a request's body. */
const BODY_MAX = 4 << 20
/** A client that sends nothing for so long loses its connection. */
const IDLE_MS = 60_000

/** So long a request may go on while the server closes. */
const CLOSING_MS = 2_000
/** Further clients are turned away: each may have a body in memory. */
const CONNECTIONS_MAX = 256

/** Serves a web-standard handler by HTTP. @throws EnvironmentError http.address */
export async function serveHttp(handler: Handler, { host, port, localNamesOnly = false }: ServeOptions): Promise<HttpServer> {
  const server = createServer({ requestTimeout: IDLE_MS, headersTimeout: IDLE_MS, keepAliveTimeout: IDLE_MS }, (incoming, outgoing) => {
    respond(incoming, outgoing, handler, localNamesOnly).catch(() => outgoing.destroy())
  })
  server.maxConnections = CONNECTIONS_MAX
  await listening(server, host, port)
  const { address, port: bound, family } = server.address() as AddressInfo
  return {
    url: `http://${family === 'IPv6' ? `[${address}]` : address}:${bound}`,
    close: async () => await new Promise((resolve) => {
      const cut = setTimeout(() => server.closeAllConnections(), CLOSING_MS)
      server.close(() => {
        clearTimeout(cut)
        resolve()
      })
      server.closeIdleConnections()
    }),
  }
}

async function listening(server: Server, host: string, port: number): Promise<void> {
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen({ host, port }, resolve)
    })
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    const why = code === 'EADDRINUSE' ? 'another program has the port: name another one with --port'
      : code === 'EACCES' ? 'the port is for root alone: name one from 1024 on' : `${code ?? String(error)}`
    throw new EnvironmentError('http.address', `${host} port ${port} was not bound: ${why}`)
  }
}

/** Names of this machine that lead nowhere else. */
const LOCAL = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d+)?$/i

async function respond(incoming: IncomingMessage, outgoing: ServerResponse, handler: Handler, localNamesOnly: boolean): Promise<void> {
  const host = incoming.headers.host ?? 'localhost'
  if (localNamesOnly && !LOCAL.test(host)) return refuse(outgoing, 403, 'ForbiddenException', `this server answers to localhost, not to ${host}`)
  const body = new LimitedBody(incoming)
  const request = requestOf(incoming, body)
  if (request === undefined) return refuse(outgoing, 400, 'BadRequestException', 'the request has no path')
  const response = await handler(request)
  if (body.isOver) return refuse(outgoing, 413, 'BadRequestException', `the request has more than ${BODY_MAX} bytes`)
  outgoing.writeHead(response.status, Object.fromEntries(response.headers))
  outgoing.end(incoming.method === 'HEAD' ? undefined : new Uint8Array(await response.arrayBuffer()))
}

function requestOf({ url = '', method = 'GET', headers }: IncomingMessage, body: LimitedBody): Request | undefined {
  // What a client calls this server changes no answer.
  if (!url.startsWith('/') || !URL.canParse(url, 'http://localhost')) return undefined
  const given = new Headers()
  for (const name of ['authorization', 'if-none-match', 'content-type'] as const) {
    const value = headers[name]
    if (value !== undefined) given.set(name, value)
  }
  try {
    const isWithout = method === 'GET' || method === 'HEAD'
    // Node's fetch asks for `duplex` with a body that comes piece by piece; its types do not name it.
    return new Request(new URL(`http://localhost${url}`), { method, headers: given, ...!isWithout && { body: body.stream(), duplex: 'half' } })
  } catch {
    return undefined
  }
}

/** A body that is read when the handler wants it, after it knows who asks: what is refused takes no memory. */
class LimitedBody {
  private readonly incoming: IncomingMessage
  /** More bytes came than a body may have. */
  isOver = false

  constructor(incoming: IncomingMessage) {
    this.incoming = incoming
  }

  stream(): ReadableStream<Uint8Array> {
    return ReadableStream.from(this.pieces())
  }

  private async *pieces(): AsyncGenerator<Uint8Array> {
    let bytes = 0
    // The connection stays for the reply.
    for await (const piece of this.incoming.iterator({ destroyOnReturn: false }) as AsyncIterable<Uint8Array>) {
      bytes += piece.length
      this.isOver = bytes > BODY_MAX
      if (this.isOver) throw new Error('too many bytes')
      yield piece
    }
  }
}

function refuse(outgoing: ServerResponse, code: number, type: string, message: string): void {
  outgoing.writeHead(code, { 'content-type': 'application/json', connection: 'close' })
  outgoing.end(JSON.stringify({ error: { message, type, code } }))
}
