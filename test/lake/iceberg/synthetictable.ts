/** A table that lives: files come and go, rows are hidden and shown again, columns are added, dropped and renamed, by the numbers of a seed. */
import { BlockSet } from '../../../src/common/blockset.ts'
import type { PublishedColumn, PublishedFile, SnapshotKind, TableSnapshot } from '../../../src/lake/publishedtable.ts'
import type { Random } from '../../support/random.ts'

const UUID = '0f8fad5b-d9cb-469f-a165-70867728950e'

export class Names {
  private count = 0

  name(): string {
    return `name-${++this.count}`
  }
}

const COLUMNS: readonly PublishedColumn[] = [
  { id: 1, name: 'id', physicalName: 'id', type: { kind: 'long' } },
  { id: 2, name: 'text', physicalName: 'text', type: { kind: 'string' } },
  { id: 3, name: 'ratio', physicalName: 'ratio', type: { kind: 'double' } },
]

interface File {
  /** What its rows are known by, whatever file they are in. */
  readonly ids: readonly number[]
  readonly rows: number
  readonly hidden: Set<number>
}

/** Makes the bytes of a file; without one, files are names only. */
export type MakeFile = (key: string, ids: readonly number[]) => Pick<PublishedFile, 'bytes' | 'columns'>

const LONG_1 = Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0)
const NO_BYTES: MakeFile = (_key, ids) => ({ bytes: ids.length * 10, columns: [{ id: 1, nulls: 0, lower: LONG_1, upper: LONG_1 }] })

export class SyntheticTable {
  readonly files = new Map<string, File>()
  columns: PublishedColumn[] = [...COLUMNS]
  name = 'orders'
  kind: SnapshotKind = 'change'
  private nextFile = 1
  private nextColumn = 10
  private round = 0
  private nextId = 1
  private readonly random: Random
  private readonly make: MakeFile
  private readonly made = new Map<string, ReturnType<MakeFile>>()

  constructor(random: Random, make: MakeFile = NO_BYTES) {
    this.random = random
    this.make = make
  }

  /** One to three changes, then what is to be published. */
  step(root = 'file:///lake'): TableSnapshot {
    this.kind = 'change'
    this.round++
    for (let left = 1 + this.random.int(3); left > 0; left--) this.change()
    return this.snapshot(root)
  }

  snapshot(root = 'file:///lake'): TableSnapshot {
    const files = [...this.files].map(([key, { rows, hidden }]): PublishedFile => ({ ...this.made.get(key)!, key, rows, hidden: BlockSet.of(hidden) }))
    return {
      uuid: UUID, namespace: 'public', name: this.name, root, folder: 'shop/public.orders-1', columns: this.columns, files, kind: this.kind, timeline: 1,
      lsn: `0/${(0x1000 + this.round * 8).toString(16).toUpperCase()}`, time: 1_700_000_000_000_000 + this.round, publishedMs: 1_700_000_000_000 + this.round * 1000,
    }
  }

  /** `uri#row` of each row that a reader sees. */
  visible(root = 'file:///lake'): string[] {
    return [...this.files].flatMap(([key, { rows, hidden }]) =>
      Array.from({ length: rows }, (_, row) => row).filter((row) => !hidden.has(row)).map((row) => `${root}/${key}#${row}`)).sort()
  }

  /** Ids of the rows that a reader sees, ascending. */
  visibleIds(): number[] {
    return [...this.files.values()].flatMap(({ ids, hidden }) => ids.filter((_, row) => !hidden.has(row))).sort((a, b) => a - b)
  }

  private change(): void {
    const { random } = this
    const what = random.int(100)
    if (this.files.size === 0 || what < 30) this.add()
    else if (what < 55) this.hide(random.pick([...this.files.values()]), 1 + random.int(40))
    else if (what < 70) this.show(random.pick([...this.files.values()]))
    else if (what < 78) this.files.delete(random.pick([...this.files.keys()]))
    else if (what < 83) for (const file of this.files.values()) this.hide(file, file.rows)
    else if (what < 93) this.changeColumns()
    else if (what < 96) this.name = `orders_${this.round}`
    else this.merge()
  }

  private add(): void {
    const file = this.put(this.newIds(1 + this.random.int(300)))
    if (this.random.chance(60)) this.hide(file, this.random.int(file.rows + 1))
  }

  private newIds(count: number): number[] {
    return Array.from({ length: count }, () => this.nextId++)
  }

  private put(ids: readonly number[]): File {
    const key = `shop/public.orders-1/data/file-${this.nextFile++}.parquet`
    const file: File = { ids, rows: ids.length, hidden: new Set() }
    this.files.set(key, file)
    this.made.set(key, this.make(key, ids))
    return file
  }

  /** A run, or every third row of one. */
  private hide({ rows, hidden }: File, count: number): void {
    const step = this.random.chance(50) ? 1 : 3
    for (let row = this.random.int(rows - count + 1), left = count; left > 0 && row < rows; left--, row += step) hidden.add(Math.max(row, 0))
  }

  private show({ hidden }: File): void {
    for (const row of hidden) if (this.random.chance(50)) hidden.delete(row)
  }

  /** Two files become one with their visible rows, and some that are hidden: the table shows as many rows as before. */
  private merge(): void {
    const [a, b] = [...this.files].slice(0, 2)
    if (!a || !b) return
    const visible = [a, b].flatMap(([key, { ids, hidden }]) => {
      this.files.delete(key)
      return ids.filter((_, row) => !hidden.has(row))
    })
    const file = this.put([...this.newIds(3), ...visible])
    for (const row of [0, 1, 2]) file.hidden.add(row)
    this.kind = 'merge'
  }

  private changeColumns(): void {
    const { random } = this
    // The first one is what rows are known by.
    const at = 1 + random.int(this.columns.length - 1)
    if (random.chance(40)) this.columns = [...this.columns, { id: this.nextColumn, name: `c${this.nextColumn}`, physicalName: `c${this.nextColumn++}`, type: { kind: 'int' } }]
    else if (random.chance(30) && this.columns.length > 2) this.columns = this.columns.filter((_, i) => i !== at)
    else this.columns = this.columns.map((column, i) => i === at ? { ...column, name: random.chance(50) ? column.physicalName : `${column.physicalName}_new` } : column)
  }
}
