import { COMPRESSIONS } from '../compression/format.ts'
import { UNREAD_ENDS } from '../compression/unread.ts'
import { CorruptionError, EnvironmentError } from '../errors.ts'

/*
 * What split(1) cuts a tar file into: base.tar.gz.aa, .ab, …; with -d base.tar.gz.00, .01, …; with -a 3 three letters or digits; often with `part` before
 * them, or without the point. GNU split without -a goes on with longer ends before two letters run out: yz, zaaa; 89, 9000. An encrypted file is cut like
 * any other: base.tar.gz.gpg.aa.
 */
const [COMPRESSED, UNREAD] = [COMPRESSIONS, UNREAD_ENDS].map((ends) => ends.map((end) => end.replace('.', '\\.')).join('|'))
const PIECE = new RegExp(`^(.*\\.(?:tar(?:${COMPRESSED})|tgz|tbz2?|txz)(?:${UNREAD})?[._-]?(?:part[._-]?)?)([a-z]{2,6}|\\d{2,6})$`)
const FIRST = /^(?:a+|0+|0+1)$/
/** Ends of the first pieces: no other file of a tar file's name ends so. */
const EARLY = /^(?:a+[a-z]|0+\d)$/

/** A file that is a piece of a tar file, or may be one. */
interface Piece {
  /** The name of the whole, with what is between its name and the end. */
  whole: string
  end: string
}

/** The name of the whole tar file: for any other name that name itself. */
export function wholeTarName(name: string): string {
  const piece = parse(name)
  return piece === undefined || !EARLY.test(piece.end) ? name : piece.whole.replace(/[._-]?(?:part[._-]?)?$/, '')
}

/** Names in a folder, where one stands for all pieces of a tar file: the first. */
export function withoutLaterPieces(names: readonly string[]): string[] {
  const later = new Set([...groups(names).values()].flatMap((pieces) => pieces.slice(1)))
  return names.filter((name) => !later.has(name))
}

/** Whether a name may be that of a piece. */
export function isPieceName(name: string): boolean {
  return parse(name) !== undefined
}

/** All pieces of the tar file that `name` is a piece of, in order; undefined for another file. */
export function piecesWith(name: string, names: readonly string[]): string[] | undefined {
  const piece = parse(name)
  const pieces = piece && groups(names).get(key(piece))
  return pieces?.includes(name) === true ? pieces : undefined
}

/**
 * @param pieces in order @param sizeOf in bytes
 * @throws EnvironmentError backup.pieces if one is missing, CorruptionError backup.pieces if one is cut short
 */
export function checkPieces(pieces: readonly string[], sizeOf: (name: string) => number): void {
  const [first = ''] = pieces
  if (!FIRST.test(parse(first)!.end)) throw missing(`the first one here is ${first}`)
  for (const [i, name] of pieces.slice(1).entries()) {
    const before = pieces[i]!
    if (!follows(parse(before)!.end, parse(name)!.end)) throw missing(`${name} does not follow ${before}`)
  }
  const size = sizeOf(first)
  for (const name of pieces.slice(1, -1)) {
    const found = sizeOf(name)
    if (found === size) continue
    const reason = `${name}, a piece of a tar file, has ${found} bytes, and the first one, ${first}, ${size}: all but the last have the same size`
    throw new CorruptionError('backup.pieces', `${reason}; copy it again`)
  }
}

function missing(text: string): EnvironmentError {
  return new EnvironmentError('backup.pieces', `a piece of the tar file is missing: ${text}; copy all pieces into one folder`)
}

/** Pieces in order, by the whole they are of. One file alone is a piece if it is a first one; more are if two of them follow each other. */
function groups(names: readonly string[]): Map<string, string[]> {
  const found = new Map<string, string[]>()
  for (const name of [...names].sort()) {
    const piece = parse(name)
    if (piece === undefined) continue
    const group = found.get(key(piece))
    if (group === undefined) found.set(key(piece), [name])
    else group.push(name)
  }
  const end = (name: string): string => parse(name)!.end
  for (const [whole, pieces] of found) {
    const isGroup = FIRST.test(end(pieces[0]!)) || pieces.some((name, i) => i > 0 && follows(end(pieces[i - 1]!), end(name)))
    if (!isGroup) found.delete(whole)
  }
  return found
}

function key({ whole, end }: Piece): string {
  return `${whole}${/\d/.test(end) ? '0' : 'a'}`
}

function parse(name: string): Piece | undefined {
  const [, whole, end] = PIECE.exec(name) ?? []
  return whole === undefined || end === undefined ? undefined : { whole, end }
}

function follows(before: string, end: string): boolean {
  return end === next(before) || end === next(before, true)
}

/** @param wider the last end of its length is the one before those that begin with the last letter: these go on, two longer */
function next(end: string, wider = false): string | undefined {
  const [first, last] = /\d/.test(end) ? ['0', '9'] : ['a', 'z']
  const kept = end.replace(new RegExp(`${last}+$`), '')
  if (kept === '') return undefined
  const raised = kept.slice(0, -1) + String.fromCharCode(kept.charCodeAt(kept.length - 1) + 1)
  const plain = raised.padEnd(end.length, first)
  if (!wider) return plain
  const lead = /^(z*)/.exec(last === 'z' ? plain : plain.replaceAll('9', 'z'))![1]!.length
  return lead > 0 && plain.slice(lead) === first.repeat(plain.length - lead) ? last.repeat(lead) + first.repeat(plain.length - lead + 2) : undefined
}
