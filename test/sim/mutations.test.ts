/** Faults that are planted in the protocol: the simulator finds each, within a number of seeds. */
import { expect, test } from 'vitest'
import { drawn } from '../support/scope.ts'
import { bundleSimulator } from './bundle.ts'
import { FEW_KEPT, FORGETS_REPLACED, MUTATIONS, NO_BOUNDARY_CHECK } from './mutations.ts'

test.each(drawn(MUTATIONS, 4, 'planted faults of the protocol'))('$name: found within $within seeds', async ({ name, within, mutations }) => {
  const { simulate } = await (await bundleSimulator(mutations)).load()
  let found: string | undefined
  for (let seed = 1; seed <= within && found === undefined; seed++) {
    await simulate(seed).catch((error: unknown) => { found = (error as Error).message })
  }
  console.info(`${name}: ${found}`)
  expect(found).toBeDefined()
})

test('a mutation whose place is gone is an error', async () => {
  await expect(bundleSimulator([{ file: 'src/engine/writer.ts', replace: [['no such text', '']] }])).rejects.toThrow('has 0 times')
})

test('the change that makes deleted names frequent is no fault', async () => {
  const { simulate } = await (await bundleSimulator([FEW_KEPT])).load()
  for (let seed = 1; seed <= 20; seed++) await simulate(seed)
})

test('a writer who stalls longer than it takes others to delete its name', async () => {
  await (await (await bundleSimulator([FEW_KEPT])).load()).stalledWriter()
  const { stalledWriter } = await (await bundleSimulator([NO_BOUNDARY_CHECK])).load()
  await expect(stalledWriter()).rejects.toThrow('the commit was reported, but HEAD is at LSN 0/0')
})

test('a merge and a publication that are one commit', async () => {
  await (await (await bundleSimulator()).load()).sharedCommit()
  const { sharedCommit } = await (await bundleSimulator([FORGETS_REPLACED])).load()
  await expect(sharedCommit()).rejects.toThrow('which its epoch did not name')
})
