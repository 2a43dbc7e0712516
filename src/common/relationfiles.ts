/*
 * File names of relations (relpath.c), relNumber decimal:
 *
 *   [t<backend>_]<relNumber>[_fsm|_vm|_init][.<segment>]
 */
const RELATION_FILE = /^(?:t(\d+)_)?(\d+)(?:_(fsm|vm|init))?(?:\.(\d+))?$/

export type ForkName = 'main' | 'fsm' | 'vm' | 'init'

/** The files of one relation in one directory. */
export interface RelationFiles {
  relNumber: number
  /** Backend number in the name of a temporary relation's files. */
  tempBackend?: number
  /** Segment numbers per fork that has files. */
  forks: ReadonlyMap<ForkName, readonly number[]>
}

export interface RelationDirectory {
  dir: string
  relations: Map<number, RelationFiles>
  temp: RelationFiles[]
}

/** What most relations of a large database have: one map for all of them. */
const NO_FORKS: RelationFiles['forks'] = new Map()
const ONE_SEGMENT: RelationFiles['forks'] = new Map([['main', [0]]])

/**
 * Groups the files of one database directory by relation; PG_VERSION, pg_filenode.map, pg_internal.init and the like are no relations.
 * @param dir the directory, for the answer @param names of its files
 */
export function groupRelationFiles(dir: string, names: readonly string[]): RelationDirectory {
  const relations = new Map<number, RelationFiles>()
  const temp = new Map<string, RelationFiles>()
  for (const name of names) {
    const match = RELATION_FILE.exec(name)
    if (match === null) continue
    const [, backend, digits, fork, segment] = match
    const relNumber = Number(digits)
    let files: RelationFiles | undefined
    if (backend === undefined) {
      files = relations.get(relNumber) ?? { relNumber, forks: NO_FORKS }
      relations.set(relNumber, files)
    } else {
      files = temp.get(`${backend}_${digits}`) ?? { relNumber, tempBackend: Number(backend), forks: NO_FORKS }
      temp.set(`${backend}_${digits}`, files)
    }
    addSegment(files, (fork ?? 'main') as ForkName, Number(segment ?? 0))
  }
  return { dir, relations, temp: [...temp.values()] }
}

function addSegment(files: RelationFiles, fork: ForkName, segment: number): void {
  if (files.forks === NO_FORKS && fork === 'main' && segment === 0) {
    files.forks = ONE_SEGMENT
    return
  }
  if (files.forks === NO_FORKS || files.forks === ONE_SEGMENT) files.forks = new Map([...files.forks].map(([name, segments]) => [name, [...segments]]))
  const forks = files.forks as Map<ForkName, number[]>
  const segments = forks.get(fork)
  if (segments) segments.push(segment)
  else forks.set(fork, [segment])
}
