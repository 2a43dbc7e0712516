import { existsSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import type { TupleDesc } from '../../catalog/tupledesc.ts'
import { readU16 } from '../../common/bytes.ts'
import { CorruptionError, EnvironmentError } from '../../common/errors.ts'
import { type PgMajor, PG_MAJORS, parsePgMajor } from '../../common/pgversion.ts'
import { BLOCK_SIZE } from '../../common/rel.ts'
import type { ToastSource } from '../../tuple/toastsource.ts'
import { pageChecksum } from '../../page/checksum.ts'
import { checkPageHeader, isZeroPage, PD_CHECKSUM, PD_SPECIAL } from '../../page/header.ts'
import { isSequenceArea } from '../../page/specialarea.ts'
import type { ToastPointer } from '../../tuple/toast.ts'
import { MultiXacts } from '../../xact/multixact.ts'
import { Snapshot, type UnknownTransactions } from '../../xact/snapshot.ts'
import { readIfThere } from '../../io/disk/files.ts'
import { SegmentPages } from '../../io/datadir/segmentpages.ts'
import { buildToastIndex, type ToastIndex } from '../../columnar/toastindex.ts'
import { ToastReader } from '../../columnar/toastreader.ts'
import { HeapReader } from './heapreader.ts'

export interface RelationFileOptions {
  /** A relation's first segment; further ones beside it are read, too. */
  file: string
  desc: TupleDesc
  /** The file of its TOAST relation. */
  toast?: string
  /** Default: what PG_VERSION beside the file says, else the newest. */
  major?: PgMajor
  /** pg_database.encoding. */
  encoding: number
  unknownTransactions: UnknownTransactions
}

/** Blocks whose checksums are tried. */
const TRIED_BLOCKS = 64

/**
 * The rows of one relation's file with no cluster around it. Hint bits alone say which are live; whether the pages have checksums,
 * the pages say. Close it: it holds files open.
 */
export class RelationFileReader extends HeapReader {
  /** Number of attributes that the list of columns describes, dropped ones included. */
  readonly attributes: number
  private readonly toasted: ToastFile | undefined

  /** @throws EnvironmentError file.*, CorruptionError relation.*; relation.no-heap for a file that is no heap */
  constructor({ file, desc, toast, major = majorBeside(file), encoding, unknownTransactions }: RelationFileOptions) {
    const snapshot = hintsOnly(unknownTransactions)
    const fork = openFile(file)
    const toasted = toast === undefined ? undefined : new ToastFile(toast, snapshot)
    const checksums = haveChecksums(fork)
    super({ name: file, fork, checksums, major, snapshot, desc, encoding, toast: () => toasted, missingToast: 'ignore' })
    this.toasted = toasted
    this.attributes = desc.attributes.length
  }

  override close(): void {
    super.close()
    this.toasted?.close()
  }
}

/** pg_xact is not there: every xid may have been assigned, and no status is known. */
function hintsOnly(unknown: UnknownTransactions): Snapshot {
  const none = { page: () => undefined }
  const multixacts = new MultiXacts({ offsets: none, members: none, oldestMulti: 1, nextMulti: 0, nextMultiOffset: 0 })
  return new Snapshot({ clog: none, multixacts, nextXid: { low: 2, epoch: 0 }, oldestXid: 3, prepared: new Set(), unknown })
}

/** `16385.1` alone is read as a file of its own: its blocks count from 0. */
function openFile(file: string): SegmentPages {
  if (!existsSync(file)) throw new EnvironmentError('file.missing', 'there is no such file', { file })
  const segments = [0]
  while (existsSync(`${file}.${segments.length}`)) segments.push(segments.length)
  const fork = new SegmentPages(file, segments, 'lost')
  try {
    refuseNoHeap(fork)
  } catch (error) {
    fork.close()
    throw error
  }
  return fork
}

function readUnlessLost(fork: SegmentPages, block: number): Uint8Array | undefined {
  try {
    return fork.read(block)
  } catch (error) {
    if (error instanceof CorruptionError && error.code === 'relation.unreadable') return undefined
    throw error
  }
}

/** An empty file is an empty table. @throws CorruptionError relation.no-heap if the file has something and no page of a heap */
function refuseNoHeap(fork: SegmentPages): void {
  const { blocks, trailingBytes, file } = fork
  if (blocks === 0 && trailingBytes === 0) return
  const isMap = /_(?:fsm|vm)$/.test(file)
  for (let block = 0; block < blocks && !isMap; block++) {
    const page = readUnlessLost(fork, block)
    if (page !== undefined && (isZeroPage(page) || isHeapPage(page))) return
  }
  const none = blocks === 0 ? `${trailingBytes} bytes are less than a page` : `none of its ${blocks} blocks is a page of a heap`
  const what = isMap ? 'it is a map of another file' : none
  throw new CorruptionError('relation.no-heap', `${what}: name the main file of a table, such as base/16384/16385`, { file })
}

function isHeapPage(page: Uint8Array): boolean {
  try {
    checkPageHeader(page)
    const special = readU16(page, PD_SPECIAL)
    return special === BLOCK_SIZE || isSequenceArea(page, special)
  } catch (error) {
    if (error instanceof CorruptionError) return false
    throw error
  }
}

function majorBeside(file: string): PgMajor {
  const version = readIfThere(join(dirname(file), 'PG_VERSION'))
  return version === undefined ? PG_MAJORS.at(-1)! : parsePgMajor(String.fromCharCode(...version))
}

/** True if most of the pages that have a checksum have the right one. */
function haveChecksums(fork: SegmentPages): boolean {
  // The blocks of a later segment that is read alone have other numbers in its relation, so their checksums cannot be computed.
  if (/\.\d+$/.test(basename(fork.file))) return false
  let right = 0
  let wrong = 0
  for (let block = 0; block < Math.min(TRIED_BLOCKS, fork.blocks); block++) {
    const page = fork.read(block)
    const stored = readU16(page, PD_CHECKSUM)
    if (stored === 0 || isZeroPage(page)) continue
    if (stored === pageChecksum(page, block)) right++
    else wrong++
  }
  return right > wrong
}

/** A TOAST relation by its file alone. The oid in a pointer is not checked: every pointer means this file. */
class ToastFile implements ToastSource {
  private readonly fork: SegmentPages
  private readonly index: ToastIndex
  private reader: ToastReader | undefined
  private relationId = -1

  constructor(file: string, snapshot: Snapshot) {
    this.fork = openFile(file)
    this.index = buildToastIndex(this.fork, snapshot)
  }

  fetch(pointer: ToastPointer): Uint8Array | undefined {
    if (this.reader === undefined || this.relationId !== pointer.toastRelId) {
      this.relationId = pointer.toastRelId
      this.reader = new ToastReader(this.relationId, this.fork, this.index)
    }
    return this.reader.fetch(pointer)
  }

  close(): void {
    this.fork.close()
  }
}
