import { expect } from 'vitest'
import { icebergCatalog } from '../../src/service/catalog.ts'
import type { CatalogOptions } from '../../src/service/context.ts'
import type { PublishedLake } from '../support/publishedlake.ts'

export type Json = Record<string, unknown>

/** Asks a catalog without a network. A bug of the catalog ends the test. */
export class Client {
  readonly headers: Record<string, string> = {}
  private readonly handler: (request: Request) => Promise<Response>

  constructor(lake: PublishedLake, options: Partial<CatalogOptions> = {}) {
    this.handler = icebergCatalog(lake.lake, { root: lake.root, onBug: (error) => { throw error as Error }, ...options })
  }

  async send(method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<Response> {
    const json = body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }
    return await this.handler(new Request(`http://localhost${path}`, { method, headers: { ...this.headers, ...headers }, ...json }))
  }

  async get(path: string): Promise<Json> {
    return await this.read('GET', path)
  }

  async post(path: string, body: unknown): Promise<Json> {
    return await this.read('POST', path, body)
  }

  /** The error of a refused request: `404 NoSuchTableException: there is …`; of HEAD, which has no body, the status. */
  async refused(method: string, path: string, { headers, body }: { headers?: Record<string, string>; body?: unknown } = {}): Promise<string> {
    const response = await this.send(method, path, body, headers)
    if (method === 'HEAD') return String(response.status)
    const { error } = await response.json() as { error: { message: string; type: string; code: number } }
    expect(error.code).toBe(response.status)
    return `${error.code} ${error.type}: ${error.message}`
  }

  /** What the paths of a warehouse begin with. */
  async prefix(warehouse: string): Promise<string> {
    const { overrides } = await this.get(`/v1/config?warehouse=${encodeURIComponent(warehouse)}`) as { overrides: { prefix: string } }
    return `/v1/${overrides.prefix}`
  }

  private async read(method: string, path: string, body?: unknown): Promise<Json> {
    const response = await this.send(method, path, body)
    const text = await response.text()
    expect(`${response.status} ${text}`).toMatch(/^200 /)
    return JSON.parse(text) as Json
  }
}
