import { it } from 'vitest'
it('x', async () => { await import(process.env.SCRATCH!) }, 600000)
