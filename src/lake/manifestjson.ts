/*
 * ltap.json in pieces: a cluster of 40,000 relations has a manifest of 60 MB, and as one string it would be in memory beside what it says.
 *
 *   { "format": 1, …, "relations": [ {…}, {…}, … ], "orphans": […], … }
 *     `---- rest ----'             `-- elements -'  `------ rest -----'
 */

/** A manifest's JSON as one relation after the other, and what is around them. */
export interface ManifestPieces {
  /** The JSON without the list of relations; {@link RELATIONS_ELSEWHERE} stands in its place. */
  rest: Uint8Array
  /** JSON of one relation each. */
  elements: Iterable<Uint8Array>
}

/** What stands for the list of relations. */
export const RELATIONS_ELSEWHERE = 0

const KEY = new TextEncoder().encode('"relations"')
const ELSEWHERE = new TextEncoder().encode(String(RELATIONS_ELSEWHERE))
const [QUOTE, BACKSLASH, COMMA, COLON, OPEN_LIST, CLOSE_LIST, OPEN_OBJECT, CLOSE_OBJECT] = [0x22, 0x5c, 0x2c, 0x3a, 0x5b, 0x5d, 0x7b, 0x7d]

/** The text of `JSON.stringify(manifest, undefined, 1)` and a line end, piece by piece. */
export function* formatManifest(manifest: { readonly relations: readonly object[] }): Generator<string> {
  const { relations } = manifest
  const [head, tail] = JSON.stringify({ ...manifest, relations: [] }, undefined, 1).split('\n "relations": []') as [string, string]
  yield `${head}\n "relations": [`
  for (const [i, relation] of relations.entries()) {
    yield `${i === 0 ? '' : ','}\n  ${JSON.stringify(relation, undefined, 1).replaceAll('\n', '\n  ')}`
  }
  yield `${relations.length === 0 ? '' : '\n '}]${tail}\n`
}

/**
 * Cuts a manifest's JSON. It is valid if each piece is: what is between two pieces is a comma.
 * @returns undefined if there is no list of relations to be found
 */
export function splitManifest(json: Uint8Array): ManifestPieces | undefined {
  const open = findRelations(json)
  if (open === undefined) return undefined
  const commas = topLevelCommas(json, open)
  if (commas === undefined) return undefined
  const { ends, close } = commas
  function* elements(): Generator<Uint8Array> {
    let start = open! + 1
    for (const end of ends) {
      yield json.subarray(start, end)
      start = end + 1
    }
    const last = json.subarray(start, close)
    if (ends.length > 0 || last.some((byte) => !isSpace(byte))) yield last
  }
  const rest = new Uint8Array(open + ELSEWHERE.length + json.length - close - 1)
  rest.set(json.subarray(0, open))
  rest.set(ELSEWHERE, open)
  rest.set(json.subarray(close + 1), open + ELSEWHERE.length)
  return { rest, elements: elements() }
}

/** Where the list begins that is the member `relations` of the outermost object. */
function findRelations(json: Uint8Array): number | undefined {
  let depth = 0
  for (let at = 0; at < json.length; at++) {
    const byte = json[at]!
    if (byte === OPEN_LIST || byte === OPEN_OBJECT) depth++
    else if (byte === CLOSE_LIST || byte === CLOSE_OBJECT) depth--
    else if (byte === QUOTE) {
      const end = stringEnd(json, at)
      const isKey = depth === 1 && end - at === KEY.length && KEY.every((expected, i) => json[at + i] === expected)
      const colon = isKey ? afterSpace(json, end) : end
      if (isKey && json[colon] === COLON) {
        const value = afterSpace(json, colon + 1)
        return json[value] === OPEN_LIST ? value : undefined
      }
      at = end - 1
    }
  }
  return undefined
}

/** Where the elements of a list end, the last one apart, and the list itself. Undefined for a list that does not end as a list does. */
function topLevelCommas(json: Uint8Array, open: number): { ends: number[]; close: number } | undefined {
  const ends: number[] = []
  let depth = 0
  for (let at = open; at < json.length; at++) {
    const byte = json[at]!
    if (byte === QUOTE) at = stringEnd(json, at) - 1
    else if (byte === OPEN_LIST || byte === OPEN_OBJECT) depth++
    else if (byte === COMMA && depth === 1) ends.push(at)
    else if ((byte === CLOSE_LIST || byte === CLOSE_OBJECT) && --depth === 0) return byte === CLOSE_LIST ? { ends, close: at } : undefined
  }
  return undefined
}

/** The position after the closing quote of the string that begins at `start`. */
function stringEnd(json: Uint8Array, start: number): number {
  let at = start + 1
  while (at < json.length && json[at] !== QUOTE) at += json[at] === BACKSLASH ? 2 : 1
  return at + 1
}

function afterSpace(json: Uint8Array, start: number): number {
  let at = start
  while (at < json.length && isSpace(json[at]!)) at++
  return at
}

function isSpace(byte: number): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09
}
