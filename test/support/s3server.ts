/**
 * A small S3 server in this process, for tests: signatures, conditions, multipart uploads, ranges, lists with pages. test/conformance holds it against
 * real servers by the same contract.
 */
import { createHash, createHmac } from 'node:crypto'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { crc32 } from 'node:zlib'

export interface S3Call {
  method: string
  /** Decoded, without the bucket. */
  key: string
  query: URLSearchParams
  headers: IncomingMessage['headers']
}

/**
 * What happens to a request instead: a failure before it has an effect, its effect without a reply, half a reply, a reply after so long, an answer of this
 * status and name.
 */
export type S3Fault = 'fail before' | 'lose reply' | 'short body' | { delayMs: number } | { status: number, name: string }

interface Stored {
  bytes: Buffer
  etag: string
  modified: Date
  headers: Record<string, string>
}

interface Upload {
  key: string
  parts: Map<number, Buffer>
  headers: Record<string, string>
  initiated: Date
  isListed: boolean
}

export interface S3ServerOptions {
  accessKey?: string
  secretKey?: string
  region?: string
  bucket?: string
  /** Keys on one page of a list. */
  pageSize?: number
  /** What lists are sorted by. @default the key */
  sortBy?: (key: string) => string
}

/** Lists as servers have them: S3 by the bytes of keys, SeaweedFS by the names in each folder (`a/x` before `a-b`), S3 directory buckets in no order. */
export const LIST_ORDERS: Readonly<Record<string, (key: string) => string>> = {
  'of bytes': (key) => key,
  'of names in folders': (key) => key.replaceAll('/', '\0'),
  'of nothing': (key) => md5(Buffer.from(key)),
}

const LOCAL = '127.0.0.1'

class S3Refusal extends Error {
  readonly status: number

  constructor(status: number, name: string) {
    super(name)
    this.name = name
    this.status = status
  }
}

export class S3Server {
  readonly calls: S3Call[] = []
  /** Asked before each request. */
  fault: (call: S3Call) => S3Fault | undefined = () => undefined
  /** What the machine's clock says, plus so much. */
  skewMs = 0
  /** How a list goes on; '' begins again. */
  nextToken: (token: string) => string | undefined = (token) => token
  readonly objects = new Map<string, Stored>()
  readonly uploads = new Map<string, Upload>()
  endpoint = ''
  private readonly options: Required<S3ServerOptions>
  private readonly server: Server
  private nextUpload = 1

  private constructor(options: S3ServerOptions) {
    this.options = { accessKey: 'ltapkey', secretKey: 'ltapsecret', region: 'us-east-1', bucket: 'lake', pageSize: 5, sortBy: (key) => key, ...options }
    this.server = createServer((request, response) => void this.serve(request, response))
  }

  static async start(options: S3ServerOptions = {}): Promise<S3Server> {
    const started = new S3Server(options)
    await new Promise<void>((resolve) => started.server.listen(0, LOCAL, resolve))
    started.endpoint = `http://${LOCAL}:${(started.server.address() as AddressInfo).port}`
    return started
  }

  async stop(): Promise<void> {
    this.server.closeAllConnections()
    await new Promise((resolve) => this.server.close(resolve))
  }

  private async serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const pieces: Buffer[] = []
    for await (const piece of request) pieces.push(piece as Buffer)
    const body = Buffer.concat(pieces)
    const url = new URL(request.url!, this.endpoint)
    const [bucket, ...names] = decodeURIComponent(url.pathname.slice(1)).split('/')
    const call: S3Call = { method: request.method!, key: names.join('/'), query: url.searchParams, headers: request.headers }
    this.calls.push(call)
    const fault = this.fault(call)
    if (fault === 'fail before') return void request.socket.destroy()
    try {
      if (typeof fault === 'object' && 'delayMs' in fault) await new Promise((resolve) => setTimeout(resolve, fault.delayMs))
      if (typeof fault === 'object' && 'status' in fault) throw new S3Refusal(fault.status, fault.name)
      this.checkSignature(call, url, body)
      if (bucket !== this.options.bucket) throw new S3Refusal(404, 'NoSuchBucket')
      const reply = this.answer(call, body)
      if (fault === 'lose reply') return void request.socket.destroy()
      send(response, call.method, reply, fault === 'short body')
    } catch (error) {
      if (!(error instanceof S3Refusal)) throw error
      const xml = `<?xml version="1.0"?><Error><Code>${error.name}</Code><Message>${error.name}</Message></Error>`
      send(response, call.method, { status: error.status, headers: { 'content-type': 'application/xml' }, body: Buffer.from(xml) }, false)
    }
  }

  private answer(call: S3Call, body: Buffer): Reply {
    const { method, key, query } = call
    if (key === '') {
      if (method === 'HEAD') return { status: 200 }
      if (method === 'GET') return query.has('uploads') ? this.listUploads(query) : this.list(query)
      if (method === 'POST' && query.has('delete')) return this.deleteAll(body)
      throw new S3Refusal(501, 'NotImplemented')
    }
    if (method === 'GET' && query.has('uploadId')) return this.listParts(query)
    if (method === 'GET' || method === 'HEAD') return this.read(call)
    if (method === 'PUT' && query.has('partNumber')) {
      const upload = this.upload(query)
      upload.parts.set(Number(query.get('partNumber')), body)
      return { status: 200, headers: { etag: md5(body) } }
    }
    if (method === 'PUT') return this.store(call, key, body, md5(body), encryptionIn(call.headers))
    if (method === 'POST' && query.has('uploads')) {
      const id = `upload-${this.nextUpload++}`
      this.uploads.set(id, { key, parts: new Map(), headers: encryptionIn(call.headers), initiated: new Date(), isListed: true })
      return xml(`<InitiateMultipartUploadResult><UploadId>${id}</UploadId></InitiateMultipartUploadResult>`)
    }
    if (method === 'POST' && query.has('uploadId')) return this.complete(call, body)
    if (method === 'DELETE' && query.has('uploadId')) {
      this.upload(query)
      this.uploads.delete(query.get('uploadId')!)
      return { status: 204 }
    }
    if (method === 'DELETE') {
      this.objects.delete(key)
      return { status: 204 }
    }
    throw new S3Refusal(501, 'NotImplemented')
  }

  private read({ method, key, headers }: S3Call): Reply {
    const object = this.objects.get(key)
    if (object === undefined) throw new S3Refusal(404, 'NoSuchKey')
    const common = { etag: object.etag, 'last-modified': object.modified.toUTCString(), ...object.headers }
    const range = /^bytes=(\d*)-(\d*)$/.exec(headers.range ?? '')
    const size = object.bytes.length
    if (method === 'HEAD' || range === null) return { status: 200, headers: common, body: object.bytes }
    const [start, end] = range[1] === '' ? [Math.max(0, size - Number(range[2])), size] : [Number(range[1]), range[2] === '' ? size : Math.min(size, Number(range[2]) + 1)]
    if (start >= size) throw new S3Refusal(416, 'InvalidRange')
    return { status: 206, headers: { ...common, 'content-range': `bytes ${start}-${end - 1}/${size}` }, body: object.bytes.subarray(start, end) }
  }

  private store({ headers }: S3Call, key: string, bytes: Buffer, etag: string, kept: Record<string, string>): Reply {
    const old = this.objects.get(key)
    if (headers['if-none-match'] === '*' && old !== undefined) throw new S3Refusal(412, 'PreconditionFailed')
    const ifMatch = headers['if-match']
    if (ifMatch !== undefined && old === undefined) throw new S3Refusal(404, 'NoSuchKey')
    if (ifMatch !== undefined && old!.etag !== ifMatch) throw new S3Refusal(412, 'PreconditionFailed')
    this.objects.set(key, { bytes, etag, modified: new Date(), headers: kept })
    return { status: 200, headers: { etag, ...kept } }
  }

  private complete(call: S3Call, body: Buffer): Reply {
    const upload = this.upload(call.query)
    const named = [...body.toString().matchAll(/<Part>(.*?)<\/Part>/gs)].map(([, part]) => ({
      number: Number(/<PartNumber>(\d+)/.exec(part!)?.[1]), etag: unescape(/<ETag>(.*?)<\/ETag>/.exec(part!)?.[1] ?? ''),
    }))
    const parts = named.map(({ number, etag }, i) => {
      const part = upload.parts.get(number)
      if (part === undefined || md5(part) !== etag) throw new S3Refusal(400, 'InvalidPart')
      if (i < named.length - 1 && part.length < 5 << 20) throw new S3Refusal(400, 'EntityTooSmall')
      return part
    })
    if (named.some(({ number }, i) => i > 0 && number <= named[i - 1]!.number)) throw new S3Refusal(400, 'InvalidPartOrder')
    const etag = `"${createHash('md5').update(Buffer.concat(parts.map((part) => createHash('md5').update(part).digest()))).digest('hex')}-${parts.length}"`
    this.store(call, upload.key, Buffer.concat(parts), etag, upload.headers)
    this.uploads.delete(call.query.get('uploadId')!)
    return xml(`<CompleteMultipartUploadResult><ETag>${escaped(etag)}</ETag></CompleteMultipartUploadResult>`)
  }

  private upload(query: URLSearchParams): Upload {
    const upload = this.uploads.get(query.get('uploadId')!)
    if (upload === undefined) throw new S3Refusal(404, 'NoSuchUpload')
    return upload
  }

  private listParts(query: URLSearchParams): Reply {
    const numbers = [...this.upload(query).parts.keys()].sort((a, b) => a - b)
    const most = Number(query.get('max-parts') ?? 1000)
    const parts = numbers.slice(0, most).map((number) => `<Part><PartNumber>${number}</PartNumber></Part>`)
    return xml(`<ListPartsResult><IsTruncated>${numbers.length > most}</IsTruncated>${parts.join('')}</ListPartsResult>`)
  }

  private deleteAll(body: Buffer): Reply {
    for (const [, key] of body.toString().matchAll(/<Key>(.*?)<\/Key>/gs)) this.objects.delete(unescape(key!))
    return xml('<DeleteResult></DeleteResult>')
  }

  private list(query: URLSearchParams): Reply {
    const prefix = query.get('prefix') ?? ''
    const { sortBy } = this.options
    const after = Buffer.from(query.get('continuation-token') ?? '', 'hex').toString()
    const keys = [...this.objects.keys()].filter((key) => key.startsWith(prefix) && sortBy(key) > after).sort((a, b) => sortBy(a) < sortBy(b) ? -1 : 1)
    const page = keys.slice(0, Math.min(this.options.pageSize, Number(query.get('max-keys') ?? 1000)))
    const more = keys.length > page.length
    const contents = page.map((key) => {
      const { etag, bytes, modified } = this.objects.get(key)!
      return `<Contents><Key>${escaped(key)}</Key><LastModified>${modified.toISOString()}</LastModified><ETag>${escaped(etag)}</ETag><Size>${bytes.length}</Size></Contents>`
    })
    const token = more ? this.nextToken(Buffer.from(sortBy(page.at(-1)!)).toString('hex')) : undefined
    const next = token === undefined ? '' : `<NextContinuationToken>${escaped(token)}</NextContinuationToken>`
    return xml(`<ListBucketResult><IsTruncated>${more}</IsTruncated>${next}<KeyCount>${page.length}</KeyCount>${contents.join('')}</ListBucketResult>`)
  }

  private listUploads(query: URLSearchParams): Reply {
    const [prefix, after] = [query.get('prefix') ?? '', query.get('key-marker') ?? '']
    const found = [...this.uploads].filter(([, { key, isListed }]) => isListed && key.startsWith(prefix) && key > after).sort(([, a], [, b]) => a.key < b.key ? -1 : 1)
    const page = found.slice(0, this.options.pageSize)
    const uploads = page.map(([id, { key, initiated }]) =>
      `<Upload><Key>${escaped(key)}</Key><UploadId>${id}</UploadId><Initiated>${initiated.toISOString()}</Initiated></Upload>`)
    return xml(`<ListMultipartUploadsResult><IsTruncated>${found.length > page.length}</IsTruncated>${uploads.join('')}</ListMultipartUploadsResult>`)
  }

  /** AWS Signature Version 4, over the headers that it names. */
  private checkSignature({ method, headers }: S3Call, url: URL, body: Buffer): void {
    const { accessKey, secretKey, region } = this.options
    const parts = /^AWS4-HMAC-SHA256 Credential=([^/]+)\/(\d{8})\/([^/]+)\/s3\/aws4_request, SignedHeaders=([^,]+), Signature=([0-9a-f]{64})$/.exec(headers.authorization ?? '')
    if (parts === null) throw new S3Refusal(403, 'AccessDenied')
    const [, key, day, inRegion, signed, signature] = parts as unknown as string[]
    if (key !== accessKey) throw new S3Refusal(403, 'InvalidAccessKeyId')
    if (inRegion !== region) throw new S3Refusal(400, 'AuthorizationHeaderMalformed')
    const at = String(headers['x-amz-date'])
    const sentAt = Date.parse(at.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, '$1-$2-$3T$4:$5:$6Z'))
    if (!(Math.abs(sentAt - Date.now() - this.skewMs) < 15 * 60_000)) throw new S3Refusal(403, 'RequestTimeTooSkewed')
    const hash = String(headers['x-amz-content-sha256'])
    if (hash !== 'UNSIGNED-PAYLOAD' && hash !== sha256(body)) throw new S3Refusal(400, 'XAmzContentSHA256Mismatch')
    const query = [...url.searchParams].map(([name, value]) => `${encodeURIComponent(name)}=${encodeURIComponent(value)}`).sort().join('&')
    const lines = signed!.split(';').map((name) => `${name}:${String(headers[name] ?? '').trim().replace(/ +/g, ' ')}\n`).join('')
    const canonical = [method, url.pathname, query, lines, signed, hash].join('\n')
    const scope = `${day}/${region}/s3/aws4_request`
    const secret = [day!, region, 's3', 'aws4_request'].reduce<Buffer | string>((last, text) => hmac(last, text), `AWS4${secretKey}`)
    if (hmac(secret, ['AWS4-HMAC-SHA256', at, scope, sha256(Buffer.from(canonical))].join('\n')).toString('hex') !== signature) throw new S3Refusal(403, 'SignatureDoesNotMatch')
    const checksum = headers['x-amz-checksum-crc32']
    if (checksum !== undefined && Buffer.from(String(checksum), 'base64').readUInt32BE() !== crc32(body)) throw new S3Refusal(400, 'BadDigest')
  }
}

interface Reply {
  status: number
  headers?: Record<string, string>
  body?: Buffer
}

function send(response: ServerResponse, method: string, { status, headers = {}, body = Buffer.alloc(0) }: Reply, isShort: boolean): void {
  response.writeHead(status, { ...headers, date: new Date().toUTCString(), 'content-length': body.length })
  if (method === 'HEAD') return void response.end()
  if (!isShort || body.length === 0) return void response.end(body)
  response.write(body.subarray(0, body.length >> 1), () => response.socket?.destroy())
}

function xml(text: string): Reply {
  return { status: 200, headers: { 'content-type': 'application/xml' }, body: Buffer.from(`<?xml version="1.0" encoding="UTF-8"?>${text}`) }
}

/** Headers of encryption come back with the object. */
function encryptionIn(headers: IncomingMessage['headers']): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => name.startsWith('x-amz-server-side-encryption')).map(([name, value]) => [name, String(value)]))
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;')
}

function unescape(text: string): string {
  return text.replaceAll('&quot;', '"').replaceAll('&#34;', '"').replaceAll('&lt;', '<').replaceAll('&amp;', '&')
}

const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex')
const md5 = (bytes: Buffer): string => `"${createHash('md5').update(bytes).digest('hex')}"`
const hmac = (key: Buffer | string, text: string): Buffer => createHmac('sha256', key).update(text).digest()
