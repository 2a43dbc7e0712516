import type { CatalogContext, CatalogRequest } from './context.ts'
import { listNamespaces, loadNamespace, namespaceExists } from './namespaces.ts'
import { fetchScanTasks, planTableScan } from './plan/plan.ts'
import { RequestError } from './requesterror.ts'
import { listTables, loadTable, reportMetrics, tableExists } from './tables.ts'
import { listViews, loadView } from './views.ts'

type Route = (own: CatalogRequest, context: CatalogContext) => Promise<Response> | Response

const NAMESPACES = '/v1/{prefix}/namespaces'
const NAMESPACE = `${NAMESPACES}/{namespace}`
const TABLES = `${NAMESPACE}/tables`
const TABLE = `${TABLES}/{table}`
const VIEWS = `${NAMESPACE}/views`
const VIEW = `${VIEWS}/{view}`
export const CONFIG_PATH = '/v1/config'

const ROUTES: Readonly<Record<string, Route>> = {
  [`GET ${NAMESPACES}`]: listNamespaces,
  [`GET ${NAMESPACE}`]: loadNamespace,
  [`HEAD ${NAMESPACE}`]: namespaceExists,
  [`GET ${TABLES}`]: listTables,
  [`GET ${TABLE}`]: loadTable,
  [`HEAD ${TABLE}`]: tableExists,
  [`POST ${TABLE}/plan`]: planTableScan,
  [`POST ${TABLE}/tasks`]: fetchScanTasks,
  [`POST ${TABLE}/metrics`]: reportMetrics,
  [`GET ${VIEWS}`]: listViews,
  [`GET ${VIEW}`]: loadView,
  [`HEAD ${VIEW}`]: loadView,
}

/** What is served, as `GET /v1/config` lists it. */
export const ENDPOINTS: readonly string[] = Object.keys(ROUTES)

/** Paths that are served by catalogs that can be written, or that sign requests for their clients. */
const REFUSED = [
  '/v1/oauth/tokens', `${NAMESPACE}/properties`, `${NAMESPACE}/register`, `${NAMESPACE}/register-view`, `${TABLE}/unregister`, `${TABLE}/sign`,
  '/v1/{prefix}/tables/rename', '/v1/{prefix}/views/rename', '/v1/{prefix}/transactions/commit',
]
const READS = Object.entries(ROUTES).map(([endpoint, route]) => ({ method: endpoint.split(' ')[0]!, path: endpoint.split(' ')[1]!, route }))

/** @throws RequestError 403 for what would change something, 404 for an unknown path, 405 */
export function findRoute(method: string, path: string): { route: Route; parameters: ReadonlyMap<string, string> } {
  const segments = path.split('/')
  const known = READS.flatMap((read) => {
    const parameters = parametersOf(segments, read.path)
    return parameters === undefined ? [] : [{ ...read, parameters }]
  })
  const found = known.find((read) => read.method === method)
  if (found !== undefined) return found
  if (known.length === 0 && !REFUSED.some((template) => parametersOf(segments, template))) {
    throw new RequestError(404, 'NotFoundException', 'this catalog does not serve the path: GET /v1/config lists what it serves')
  }
  if (['POST', 'PUT', 'PATCH', 'DELETE'].includes(method)) {
    throw new RequestError(403, 'ForbiddenException', 'this catalog is read-only: what Postgres changes, ltap publishes')
  }
  throw new RequestError(405, 'MethodNotAllowedException', 'this path does not take the method')
}

/** Values of the template's parameters, decoded; undefined for another path. */
function parametersOf(segments: readonly string[], template: string): Map<string, string> | undefined {
  const wanted = template.split('/')
  if (wanted.length !== segments.length) return undefined
  const found = new Map<string, string>()
  for (const [i, part] of wanted.entries()) {
    const segment = segments[i]!
    if (!part.startsWith('{')) {
      if (part !== segment) return undefined
      continue
    }
    try {
      found.set(part.slice(1, -1), decodeURIComponent(segment))
    } catch {
      return undefined
    }
  }
  return found
}
