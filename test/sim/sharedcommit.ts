/**
 * One case that chance finds too rarely: a merge and a publication wait at the same time, and are one commit. What the publication shows are the files
 * that the merge replaces.
 */
import { BranchWriter } from '../../src/engine/writer.ts'
import { mergeOnce } from './simwriter.ts'
import { SmallWorld } from './smallworld.ts'
import { check } from './world.ts'

/** Longer than a merge sleeps before its commit. */
const GATHER_MS = 30_000

/** @throws SimulationFailure if they are not one commit, or readers or gc miss anything behind it */
export async function sharedCommit(): Promise<void> {
  const { small, lake, machine } = await SmallWorld.make('if-match', 6)
  await small.finish(machine, async () => {
    const writer = await BranchWriter.open(lake, 'main', GATHER_MS)
    const before = writer.head.state
    const [merged] = await Promise.all([mergeOnce(lake, writer, machine.numbers, 0), small.publish(lake, writer)])
    check(merged?.state.made?.kind === 'merge+published', `they are one commit, not ${merged?.state.made?.kind}`)
    await small.publishing!.checkTables(small.store.handle(machine), 'main', before)
  })
  await small.recover()
}
