import { isPositioned } from '../common/errors.ts'
import { RequestError } from './requesterror.ts'

export function jsonResponse(value: unknown, headers: Readonly<Record<string, string>> = {}): Response {
  return textResponse(200, JSON.stringify(value), headers)
}

/** @param json text */
function textResponse(status: number, json: string, headers: Readonly<Record<string, string>> = {}): Response {
  return new Response(json, { status, headers: { 'content-type': 'application/json', 'cache-control': 'no-store', ...headers } })
}

export function emptyResponse(headers: Readonly<Record<string, string>> = {}, status = 204): Response {
  return new Response(null, { status, headers })
}

/**
 * The answer to a request that failed (IcebergErrorResponse). What is wrong with the lake is told in one line; of our own bugs, only that there is one.
 * @param onBug gets what is no error of the request nor of the lake
 */
export function errorResponse(error: unknown, onBug: (error: unknown) => void): Response {
  if (error instanceof RequestError) return modelled(error.status, error.type, error.message)
  if (isPositioned(error)) return modelled(503, 'ServiceUnavailableException', error.message)
  onBug(error)
  return modelled(500, 'InternalServerError', 'ltap catalog failed: this is a bug in ltap, and its output says more')
}

function modelled(code: number, type: string, message: string): Response {
  return textResponse(code, JSON.stringify({ error: { message, type, code } }), code === 401 ? { 'www-authenticate': 'Bearer realm="ltap"' } : {})
}
