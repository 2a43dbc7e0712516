/** Setup of every test file. With LTAP_TEST_SEED, fast-check draws from that seed where a test names none. */
import { keepThreadPoolAwake } from '../../src/io/threadpool.ts'

keepThreadPoolAwake()
if (process.env['LTAP_TEST_SEED'] !== undefined) {
  const { configureGlobal } = await import('fast-check')
  configureGlobal({ seed: Number(process.env['LTAP_TEST_SEED']) })
}
