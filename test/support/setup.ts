/** Setup of every test file. fast-check draws from the run's seed where a test names none. */
import { configureGlobal } from 'fast-check'
import { afterAll } from 'vitest'
import { keepThreadPoolAwake } from '../../src/io/process/threadpool.ts'
import { TEST_SEED } from './random.ts'

afterAll(keepThreadPoolAwake())
configureGlobal({ seed: TEST_SEED })
