/** `ltap catalog` over HTTP: who is answered, where it listens, how it ends. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openObjectStore } from '../../src/io/objectstore/openobjectstore.ts'
import { storeUri } from '../../src/io/objectstore/storeuri.ts'
import { type ServedCatalog, serveCatalog } from '../../src/jobs/catalog/servecatalog.ts'
import { ltap } from '../cli/streams.ts'
import { PublishedLake } from '../support/publishedlake.ts'

const TABLE = '/v1/shop/namespaces/public/tables/orders'
let folder: string
let lake: string
let served: ServedCatalog

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'ltap-serve-'))
  lake = join(folder, 'my lake')
  const store = await openObjectStore(lake)
  const made = await PublishedLake.create(store, { root: storeUri(store.url), cas: 'if-none-match' })
  await made.at('0/1000', [{ dbOid: 5, oid: 16385, namespace: 'public', name: 'orders' }])
  served = await serveCatalog({ lake, port: 0 })
})

afterAll(async () => {
  await served?.close()
  rmSync(folder, { recursive: true, force: true })
})

/** A request as it is: fetch would change the host. */
async function raw(url: string, options: { method?: string; headers?: Record<string, string>; path?: string; body?: Buffer } = {}): Promise<{ status: number; text: string }> {
  const { body, ...rest } = options
  const sent = request(url, rest)
  sent.on('error', () => {})
  sent.end(body)
  const [response] = await once(sent, 'response') as [import('node:http').IncomingMessage]
  let text = ''
  for await (const piece of response.setEncoding('utf8')) text += String(piece)
  return { status: response.statusCode!, text }
}

test('a table, its ETag, HEAD, a body', async () => {
  const response = await fetch(`${served.url}${TABLE}`)
  expect(response.status).toBe(200)
  const { 'metadata-location': location } = await response.json() as Record<string, string>
  expect(location).toBe(`file://${lake}/shop/t-5-16385/metadata/v1.metadata.json`)
  expect((await fetch(`${served.url}${TABLE}`, { headers: { 'if-none-match': response.headers.get('etag')! } })).status).toBe(304)
  const head = await fetch(`${served.url}${TABLE}`, { method: 'HEAD' })
  expect([head.status, await head.text()]).toEqual([204, ''])
  const plan = await fetch(`${served.url}${TABLE}/plan`, { method: 'POST', body: JSON.stringify({ filter: true }) })
  expect(await plan.json()).toEqual({ status: 'completed', 'plan-id': expect.stringMatching(/^[0-9a-f]{32}$/), 'file-scan-tasks': [] })
  expect((await fetch(`${served.url}${TABLE}/metrics`, { method: 'POST', body: '{"x":1}' })).status).toBe(204)
  expect((await fetch(`${served.url}${TABLE}`, { method: 'DELETE' })).status).toBe(403)
  expect((await fetch(`${served.url}/nothing`)).status).toBe(404)
})

test('odd requests', async () => {
  expect((await raw(served.url, { path: '*', method: 'OPTIONS' })).status).toBe(400)
  expect((await raw(served.url, { path: '//elsewhere/v1/config' })).status).toBe(404)
  expect((await raw(`${served.url}${TABLE}/plan`, { method: 'POST', body: Buffer.alloc(5 << 20, 0x20) })).status).toBe(413)
  for (const [host, status] of [['evil.example:80', 403], ['localhost', 200], ['127.0.0.1:99', 200], ['127.0.0.1.evil.example', 403]] as const) {
    expect((await raw(`${served.url}/v1/config`, { headers: { host } })).status).toBe(status)
  }
})

test('another address needs tokens, or --no-auth', async () => {
  await expect(serveCatalog({ lake, port: 0, host: '0.0.0.0' })).rejects.toThrow(/^catalog.open: 0.0.0.0 is reached by others.*--token-file.*--no-auth/)
  const tokenFile = join(folder, 'tokens')
  writeFileSync(tokenFile, 'a-token-of-sixteen-letters\n')
  for (const options of [{ tokenFile }, { noAuth: true }]) {
    const open = await serveCatalog({ lake, port: 0, host: '0.0.0.0', ...options })
    const url = open.url.replace('0.0.0.0', '127.0.0.1')
    expect((await raw(`${url}/v1/config`, { headers: { host: 'lake.example' } })).status).toBe('noAuth' in options ? 200 : 401)
    expect((await fetch(`${url}/v1/config`, { headers: { authorization: 'Bearer a-token-of-sixteen-letters' } })).status).toBe(200)
    await open.close()
  }
  await expect(serveCatalog({ lake, port: 0, tokenFile: join(folder, 'none') })).rejects.toThrow(/^catalog.tokens: /)
  await expect(serveCatalog({ lake, port: Number(new URL(served.url).port) })).rejects.toThrow(/^http.address: 127.0.0.1 port \d+ was not bound: another program has the port: name another one with --port/)
})

test('whose token is not known is answered before the body came; a body that is cut off is no bug', async () => {
  const tokenFile = join(folder, 'tokens of the body')
  writeFileSync(tokenFile, 'a-token-of-sixteen-letters\n')
  const open = await serveCatalog({ lake, port: 0, tokenFile })
  const begun = (authorization: string): import('node:net').Socket => connect(Number(new URL(open.url).port), '127.0.0.1')
    .setEncoding('utf8').on('error', () => {})
    .once('connect', function (this: import('node:net').Socket) {
      this.write(`POST ${TABLE}/plan HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer ${authorization}\r\ncontent-length: 4000000\r\n\r\n{`)
    })
  const unknown = begun('another-token-of-letters')
  expect(String(await once(unknown, 'data'))).toContain('HTTP/1.1 401')
  unknown.destroy()
  begun('a-token-of-sixteen-letters').destroySoon()
  expect((await fetch(`${open.url}/v1/config`, { headers: { authorization: 'Bearer a-token-of-sixteen-letters' } })).status).toBe(200)
  await open.close()
})

test('a lake that was moved, no lake, a port that is too large', async () => {
  const other = join(folder, 'other')
  const store = await openObjectStore(other)
  await (await PublishedLake.create(store, { root: 'file:///elsewhere', cas: 'if-none-match' })).at('0/1000', [])
  const { code, stderr } = await ltap(['catalog', '--lake', other, '--port', '0'])
  expect(`${code} ${stderr}`).toMatch(/^3 ltap: catalog.moved: the tables of .*other were published for file:\/\/\/elsewhere, .*: ltap publish .*other writes/)
  expect(await ltap(['catalog', '--lake', join(folder, 'nothing')])).toMatchObject({ code: 3 })
  expect(await ltap(['catalog', '--lake', lake, '--port', '70000'])).toMatchObject({ code: 2 })
  expect((await ltap(['catalog', '--help'])).stdout).toContain('ltap catalog --lake ./lake')
})

test.each(['SIGINT', 'SIGTERM'] as const)('the verb listens until %s', async (signal) => {
  const child = spawn(process.execPath, [join(import.meta.dirname, '../../dist/cli/main.js'), 'catalog', '--lake', lake, '--port', '0', '--json'], { stdio: ['ignore', 'pipe', 'inherit'] })
  let text = ''
  for await (const piece of child.stdout.setEncoding('utf8')) {
    text += String(piece)
    if (text.endsWith('}\n')) break
  }
  const { url } = JSON.parse(text) as { url: string }
  expect((await fetch(`${url}${TABLE}`)).status).toBe(200)
  // Clients that never finish what they began to ask do not keep it.
  const silent = ['', 'POST /v1/config HTTP/1.1\r\n', `POST ${TABLE}/plan HTTP/1.1\r\nhost: localhost\r\ncontent-length: 10\r\n\r\n{`].map((text) => {
    const socket = connect(Number(new URL(url).port), '127.0.0.1')
    socket.on('error', () => {})
    socket.write(text)
    return socket
  })
  await Promise.all(silent.map((socket) => socket.connecting && once(socket, 'connect')))
  child.kill(signal)
  const [code] = await once(child, 'exit') as [number]
  expect(code).toBe(signal === 'SIGINT' ? 0 : 143)
})
