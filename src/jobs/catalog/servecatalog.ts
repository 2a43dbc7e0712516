import { publicationSettings } from '../../engine/publicationsettings.ts'
import { POSTGRES_EPOCH_SECONDS } from '../../common/epoch.ts'
import { CorruptionError, EnvironmentError } from '../../common/errors.ts'
import { utf8Decode } from '../../common/utf8.ts'
import { readRegular } from '../../io/disk/regularfile.ts'
import { type HttpServer, serveHttp } from '../../io/http/serve.ts'
import { type S3Options, s3Settings } from '../../io/objectstore/s3settings.ts'
import { storeUri } from '../../io/objectstore/storeuri.ts'
import { MAIN_BRANCH } from '../../lake/state/names.ts'
import { icebergCatalog } from '../../service/catalog.ts'
import { checkPublished } from '../../service/publishedtables.ts'
import { parseTokens, type Token } from '../../service/tokens.ts'
import { openLayeredLake, openState } from '../lakes/openlake.ts'
import { parseTime } from '../timetext.ts'

export interface ServeCatalogOptions {
  /** A folder with a lake of layers, or the URL of one. */
  lake: string
  storeOptions?: S3Options
  /** Default main. */
  branch?: string
  /** 0: any that is free. */
  port: number
  /** Default 127.0.0.1. */
  host?: string
  /** Path of a file of bearer tokens (src/service/tokens.ts). */
  tokenFile?: string
  /** Lets every client that reaches another address than this machine's own read every table's metadata. */
  noAuth?: boolean
  /** Who plans scans; absent: as clients like. */
  scanPlanning?: 'client' | 'server'
  /** Gets what is a bug. */
  onBug?: (error: unknown) => void
  /** Gets each request with its answer, whose body it must leave alone. */
  onAnswer?: (request: Request, response: Response) => void
}

export interface ServedCatalog extends HttpServer {
  /** URL of the lake. */
  readonly lake: string
}

/** Addresses that lead to this machine alone. */
const LOOPBACK = /^(?:localhost|127(?:\.\d{1,3}){3}|::1)$/i

/**
 * Serves the published tables of a lake as an Iceberg REST catalog until it is closed. New publications are seen within a second.
 * @throws EnvironmentError catalog.open for another address without tokens, catalog.tokens, catalog.unpublished, catalog.moved, http.address, lake.*, store.*
 */
export async function serveCatalog({ lake: place, storeOptions = {}, port, host = '127.0.0.1', ...options }: ServeCatalogOptions): Promise<ServedCatalog> {
  const { branch = MAIN_BRANCH, tokenFile, noAuth, scanPlanning, onBug, onAnswer = () => {} } = options
  const isLocal = LOOPBACK.test(host)
  if (!isLocal && tokenFile === undefined && noAuth !== true) {
    throw new EnvironmentError('catalog.open',
      `${host} is reached by others, who would all read the catalog: name a file of bearer tokens with --token-file, or write --no-auth`)
  }
  const tokens = tokenFile === undefined ? undefined : readTokens(tokenFile)
  const lake = await openLayeredLake(place, storeOptions)
  const { store } = lake.ports
  const root = storeUri(store.url)
  const head = await lake.head(branch)
  checkPublished(await publicationSettings(await openState(lake, 'newest', branch), head.branch.id), root, store)
  const handler = icebergCatalog(lake, {
    branch, root, defaults: store.url.startsWith('s3:') ? s3Defaults(store.url, storeOptions) : {}, parseTime: microseconds,
    ...(tokens && { tokens }), ...(scanPlanning && { scanPlanning }), ...(onBug && { onBug }),
  })
  const told = async (request: Request): Promise<Response> => {
    const response = await handler(request)
    onAnswer(request, response)
    return response
  }
  const server = await serveHttp(told, { host, port, localNamesOnly: isLocal && tokens === undefined })
  return { ...server, lake: store.url }
}

function readTokens(file: string): Token[] {
  let bytes: Uint8Array
  try {
    bytes = readRegular(file)
  } catch (error) {
    throw new EnvironmentError('catalog.tokens', `the file of tokens was not read: ${(error as Error).message}`, { file })
  }
  try {
    return parseTokens(utf8Decode(bytes), file)
  } catch (error) {
    if (error instanceof TypeError) throw new CorruptionError('catalog.tokens', 'the file of tokens is no UTF-8', { file })
    throw error
  }
}

/** What an engine's S3 client must know; credentials it has its own. */
function s3Defaults(url: string, options: S3Options): Record<string, string> {
  const { endpoint, region, pathStyle } = s3Settings(url, options, process.env)
  return {
    ...(endpoint !== undefined && { 's3.endpoint': endpoint }), ...(pathStyle && { 's3.path-style-access': 'true' }),
    // The names of Java, and of PyIceberg.
    ...(region !== undefined && { 'client.region': region, 's3.region': region }),
  }
}

function microseconds(text: string): number | undefined {
  const time = parseTime(text)
  return time === undefined ? undefined : Number(time) + POSTGRES_EPOCH_SECONDS * 1_000_000
}
