import type { Mutation } from './bundle.ts'

/** Old names of HEAD go after two new ones, so that short runs delete some. No fault: the simulator must find nothing. */
export const FEW_KEPT: Mutation = { file: 'src/engine/sequencedcas.ts', replace: [['const KEPT = 64', 'const KEPT = 2']] }

/** A name of HEAD is said to be written although others deleted it meanwhile. */
export const NO_BOUNDARY_CHECK: Mutation = {
  file: 'src/engine/sequencedcas.ts', replace: [...FEW_KEPT.replace, ['      if (this.boundary.value >= sequence) return \'refused\'\n', '']],
}

/** A publication knows only the objects of entries as changes before it in the same commit left them. */
export const FORGETS_REPLACED: Mutation = { file: 'src/lake/state/commit.ts', replace: [['[replaced, entries].flatMap(', '[entries].flatMap(']] }

/** Faults of the protocol that the simulator must find, and in how many seeds. */
export const MUTATIONS: readonly { name: string; within: number; mutations: readonly Mutation[] }[] = [
  {
    name: 'no epoch check', within: 100,
    mutations: [{ file: 'src/engine/writer.ts', replace: [['if (head.epoch !== this.epoch) throw this.failure = this.fenced(head)', '']] }],
  },
  {
    name: 'a layer below sends HEAD again when it is refused or lost', within: 60,
    mutations: [{
      file: 'src/engine/etagcas.ts',
      replace: [['    return outcome\n', `    for (let again = 0; outcome !== 'written' && again < 3; again++) {
      const found = await this.store.get(this.key)
      if ((await this.store.put(this.key, value, found === undefined ? { ifNoneMatch: true } : { ifMatch: found.etag })).outcome === 'written') return 'written'
    }
    return outcome\n`]],
    }],
  },
  {
    name: 'status not carried', within: 10,
    mutations: [{ file: 'src/lake/state/changes.ts', replace: [['edits: [...edits, ...others]', 'edits: [...edits, ...(relations.length > 0 ? others : [])]']] }],
  },
  {
    name: 'gc by age', within: 200,
    mutations: [{
      file: 'src/engine/collect.ts',
      replace: [
        ['for await (const { key, size } of lake.ports.store.list(\'\')) if (parseObjectName(key)) candidates.set(key, size)',
          'const ages = new Map<string, number>()\n  for await (const { key, size, modified } of lake.ports.store.list(\'\')) {\n    if (parseObjectName(key)) candidates.set(key, size)\n    ages.set(key, modified)\n  }'],
        ['if (!isDead(key, heads)) candidates.delete(key)', 'if (lake.ports.clock.now() - ages.get(key)! < 5000) candidates.delete(key)'],
      ],
    }],
  },
  {
    name: 'gc removes uploads of living writers', within: 60,
    mutations: [{ file: 'src/engine/collect.ts', replace: [['key !== undefined && isDead(key, heads) || started < oldest', 'key !== undefined']] }],
  },
  {
    name: 'gc leaves uploads that nobody ends', within: 60,
    mutations: [{ file: 'src/engine/collect.ts', replace: [['key !== undefined && isDead(key, heads) || started < oldest', 'started < oldest']] }],
  },
  {
    name: 'gc reads HEADs before it lists', within: 300,
    mutations: [{
      file: 'src/engine/collect.ts',
      replace: [
        ['  const candidates = new Map<string, number>()\n', '  const reached = new Set<string>()\n  let heads = await reachAll(lake, (key) => reached.add(key))\n  const candidates = new Map<string, number>()\n'],
        ['  let heads = await followRoots(lake, (key) => candidates.delete(key), seenAs, listed)\n', '  for (const key of reached) candidates.delete(key)\n'],
      ],
    }],
  },
  {
    name: 'a merge holds nothing back', within: 40,
    mutations: [{ file: 'src/engine/writer.ts', replace: [['const low = Math.min(sequence + 1, ...others)', 'const low = Math.min(sequence + 1, ...others.slice(0, 0))']] }],
  },
  {
    name: 'a merge is ordered at its commit, not at the state that it began from', within: 100,
    mutations: [{
      file: 'src/lake/state/changes.ts',
      replace: [['layers: [...layers.slice(0, first), output, ...layers.slice(first + inputs.length)]', 'layers: [...layers.slice(0, first), ...layers.slice(first + inputs.length), output]']],
    }],
  },
  {
    name: 'a merge takes superseded blocks', within: 20,
    mutations: [{
      file: 'src/lake/layerorder.ts',
      replace: [['for (const { files, smallest, dropped } of layers.toReversed()) {', 'for (const { files, smallest, dropped } of layers) {'], ['return found.reverse()', 'return found']],
    }],
  },
  {
    name: 'a merge forgets a truncation', within: 100,
    mutations: [{ file: 'src/lake/mergeplan.ts', replace: [['    smallest: Math.min(...merged.map(({ smallest }) => smallest)),', '    smallest: merged.at(-1)!.smallest,']] }],
  },
  {
    name: 'a merge brings back the state that it began from', within: 60,
    mutations: [{ file: 'src/lake/state/changes.ts', replace: [['output, ...layers.slice(first + inputs.length)]', 'output]']] }],
  },
  {
    name: 'a refused commit is applied again without a look at HEAD\'s sequence', within: 40,
    mutations: [{ file: 'src/engine/writer.ts', replace: [['if (own !== undefined && own.sequence >= sequence) {', 'if (own !== undefined && own.sequence > sequence) {']] }],
  },
  {
    name: 'names of HEAD are deleted before the boundary is raised', within: 60,
    mutations: [{
      file: 'src/engine/sequencedcas.ts',
      replace: [
        ...FEW_KEPT.replace,
        ['    const raised = await this.store.put(', '    await this.store.delete(Array.from({ length: last }, (_, i) => this.valueKey(1 + i)))\n    const raised = await this.store.put('],
      ],
    }],
  },
  {
    name: 'a branch is used before it is registered', within: 300,
    mutations: [{ file: 'src/lake/state/reachable.ts', replace: [['...registeredStates(head), ...older', '...registeredStates({ ...head, branches: [], tags: [], leases: [] }), ...older']] }],
  },
  {
    name: 'metadata comes before readers ahead of the objects that it names', within: 20,
    mutations: [{
      file: 'src/jobs/publish/staging.ts',
      replace: [['    await putObjects(lake.ports.store, staged.flatMap(([, { objects }]) => objects))', '    void lake.ports.clock.sleep(2000).then(() => putObjects(lake.ports.store, staged.flatMap(([, { objects }]) => objects)))']],
    }],
  },
  {
    name: 'commit points are put before the publication is in the lake', within: 200,
    mutations: [{
      file: 'src/jobs/publish/publishjob.ts',
      replace: [['      await writer.commit(publishedChange(', '      await this.put(staging.prepared, settings.root)\n      await writer.commit(publishedChange(']],
    }],
  },
  {
    name: 'gc does not know what readers of published tables need', within: 60,
    mutations: [{
      file: 'src/jobs/publish/staging.ts',
      replace: [['.filter((key) => parseObjectName(key) !== undefined),', '.filter((key) => key === \'\'),']],
    }],
  },
  {
    name: 'a publication that was killed is not completed', within: 200,
    mutations: [{
      file: 'src/jobs/publish/publishjob.ts', replace: [['const last = [...entries.values()].filter(({ publication }) => publication === settings.publication)', 'const last: PublishedEntry[] = []']],
    }],
  },
  {
    name: 'rows of transactions that have not ended are published', within: 20,
    mutations: [{
      file: 'src/jobs/publish/publishedtables.ts', replace: [['hidden.size < file.rows) files.push({ key: file.key, bytes: file.bytes, rows: file.rows, columns: file.columns, hidden })',
        'hidden.size < file.rows) files.push({ key: file.key, bytes: file.bytes, rows: file.rows, columns: file.columns, hidden: hidden.subtract(index.hidden) })']],
    }],
  },
  {
    name: 'gc passes over what one state does not need of a leaf, though another one does', within: 200,
    mutations: [{
      file: 'src/lake/state/outdatedentries.ts', replace: [['new Set([...common].filter((id) => own.has(id)))', 'new Set([...common, ...own])']],
    }],
  },
]
