import { EnvironmentError } from '../common/errors.ts'
import { sha256 } from '../common/sha256.ts'
import { utf8Encode } from '../common/utf8.ts'
import { RequestError } from './requesterror.ts'

/*
 * Bearer tokens (RFC 6750), one a line, with the namespaces that its bearer sees behind it; without any, all of them:
 *
 *     # analysts
 *     b3BlbiBzZXNhbWU sales sales__history
 *     c2hvdyBhbGw
 */

/** Which namespaces a request sees; undefined for all. */
export type Grant = ReadonlySet<string> | undefined

export interface Token {
  /** SHA-256. */
  readonly digest: Uint8Array
  readonly grant: Grant
}

/** RFC 6750, section 2.1. */
const TOKEN = /^[A-Za-z0-9._~+/-]{16,512}=*$/

/** @param name of the file @throws EnvironmentError catalog.tokens with the line */
export function parseTokens(text: string, name: string): Token[] {
  const fault = (line: number, problem: string): EnvironmentError => new EnvironmentError('catalog.tokens', `line ${line + 1} of ${name} ${problem}`)
  const seen = new Set<string>()
  const tokens = text.split('\n').flatMap((content, line): Token[] => {
    const [token = '', ...namespaces] = content.trim().split(/\s+/)
    if (token === '' || token.startsWith('#')) return []
    if (!TOKEN.test(token)) throw fault(line, 'has no token: write at least 16 characters of [A-Za-z0-9._~+/-], then the namespaces that it is for')
    // A second line might let its bearer see more than the first one says.
    if (seen.has(token)) throw fault(line, 'has the token of a line before it: write one line with all of its namespaces')
    seen.add(token)
    return [{ digest: sha256(utf8Encode(token)), grant: namespaces.length === 0 ? undefined : new Set(namespaces) }]
  })
  if (tokens.length === 0) throw new EnvironmentError('catalog.tokens', `${name} has no token: write one a line`)
  return tokens
}

/**
 * What the bearer of a request's token sees. Every token is compared in full, by its digest: how long it takes does not tell how near a guess is.
 * @param tokens undefined: every request sees everything
 * @throws RequestError 401
 */
export function grantOf(request: Request, tokens: readonly Token[] | undefined): Grant {
  if (tokens === undefined) return undefined
  const [, given = ''] = /^Bearer +(\S+) *$/i.exec(request.headers.get('authorization') ?? '') ?? []
  const digest = sha256(utf8Encode(given))
  let found: Token | undefined
  for (const token of tokens) if (isSame(token.digest, digest)) found = token
  if (found !== undefined) return found.grant
  throw new RequestError(401, 'NotAuthorizedException', given === '' ? 'the request has no bearer token' : 'the bearer token is not known')
}

function isSame(a: Uint8Array, b: Uint8Array): boolean {
  let differs = 0
  for (let i = 0; i < a.length; i++) differs |= a[i]! ^ b[i]!
  return differs === 0
}
