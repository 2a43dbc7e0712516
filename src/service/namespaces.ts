import type { CatalogRequest } from './context.ts'
import { pageOf } from './page.ts'
import { noNamespace } from './requesterror.ts'
import { emptyResponse, jsonResponse } from './response.ts'

/** `GET …/namespaces`: there is one level. */
export function listNamespaces({ query, database, grant }: CatalogRequest): Response {
  const parent = query.get('parent')
  if (parent) {
    if (!isSeen(parent, { database, grant })) throw noNamespace(parent)
    return jsonResponse({ namespaces: [], 'next-page-token': null })
  }
  const { names, next } = pageOf(grant === undefined ? database.namespaces : database.namespaces.filter((name) => grant.has(name)), query)
  return jsonResponse({ namespaces: names.map((name) => [name]), 'next-page-token': next ?? null })
}

/** `GET …/namespaces/{namespace}`. */
export function loadNamespace(own: CatalogRequest): Response {
  return jsonResponse({ namespace: [seenNamespace(own)], properties: {} })
}

/** `HEAD …/namespaces/{namespace}`. */
export function namespaceExists(own: CatalogRequest): Response {
  seenNamespace(own)
  return emptyResponse()
}

/** Ends a level of a namespace in a path. */
const SEPARATOR = '\x1f'

/**
 * The namespace of the path. DuckDB takes a schema `a.b` for two levels: here there is one, so it is this schema that is meant.
 * @throws RequestError 404 for one that is not there, and for one that the token does not show
 */
export function seenNamespace(own: CatalogRequest): string {
  const given = own.parameters.get('namespace')!
  const namespace = isSeen(given, own) ? given : given.replaceAll(SEPARATOR, '.')
  if (isSeen(namespace, own)) return namespace
  throw noNamespace(given)
}

function isSeen(namespace: string, { database, grant }: Pick<CatalogRequest, 'database' | 'grant'>): boolean {
  return database.has(namespace) && grant?.has(namespace) !== false
}
