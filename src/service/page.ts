import { badRequest } from './requesterror.ts'

/** A page of a list, and what asks for the next one. */
export interface ListPage {
  readonly names: readonly string[]
  readonly next: string | undefined
}

const PAGE_SIZE_MAX = 10_000
const TOKEN_PREFIX = 'after:'

/**
 * The part of a list that `pageToken` and `pageSize` ask for; the whole list for a client that knows neither. A token is the last name that the client
 * has: it stays right when tables come and go.
 * @param names in the order of {@link inOrder} @throws RequestError 400
 */
export function pageOf(names: readonly string[], query: URLSearchParams): ListPage {
  const [token, size] = [query.get('pageToken'), query.get('pageSize')]
  if (token === null && size === null) return { names, next: undefined }
  if (size !== null && !/^[1-9]\d{0,8}$/.test(size)) throw badRequest(`pageSize is ${JSON.stringify(size)}, not a number above 0`)
  if (token && !token.startsWith(TOKEN_PREFIX)) throw badRequest('this catalog gave no such pageToken')
  const start = token ? indexAfter(names, token.slice(TOKEN_PREFIX.length)) : 0
  const end = start + Math.min(size === null ? PAGE_SIZE_MAX : Number(size), PAGE_SIZE_MAX)
  return { names: names.slice(start, end), next: end < names.length ? `${TOKEN_PREFIX}${names[end - 1]!}` : undefined }
}

/** Orders names by their UTF-16 units. */
export function inOrder(names: Iterable<string>): string[] {
  return [...names].sort((a, b) => (a < b ? -1 : Number(a > b)))
}

function indexAfter(names: readonly string[], last: string): number {
  let [from, to] = [0, names.length]
  while (from < to) {
    const middle = (from + to) >>> 1
    if (names[middle]! <= last) from = middle + 1
    else to = middle
  }
  return from
}
