import type { CatalogRequest } from './context.ts'
import { seenNamespace } from './namespaces.ts'
import { RequestError } from './requesterror.ts'
import { jsonResponse } from './response.ts'

/** `GET …/views`: the catalog has none. */
export function listViews(own: CatalogRequest): Response {
  seenNamespace(own)
  return jsonResponse({ identifiers: [], 'next-page-token': null })
}

/** `GET …/views/{view}` and HEAD. */
export function loadView(own: CatalogRequest): Response {
  throw new RequestError(404, 'NoSuchViewException', `there is no view ${seenNamespace(own)}.${own.parameters.get('view')!}`)
}
