// npm run conformance:install
// Puts the real S3 servers, PySpark and the engines, which `npm run conformance` and `npm run test:engines` ask, into $LTAP_CONFORMANCE (~/.cache/ltap).
// Each version is pinned, and so is what is downloaded: packages of Python and jars by their SHA-256, the Go module by its h1 sum, its dependencies by
// the go.sum inside. What is there already stays.
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { folder, skipped } from './install/common.mjs'
import { installClickHouse, installEngines } from './install/engines.mjs'
import { installSeaweedFS } from './install/seaweedfs.mjs'
import { installSpark, installSparkJars } from './install/spark.mjs'
import { installVersitygw } from './install/versitygw.mjs'

mkdirSync(join(folder, 'bin'), { recursive: true })
installSeaweedFS()
installVersitygw()
installSpark()
installEngines()
installSparkJars()
installClickHouse()
for (const line of skipped) console.log(`SKIPPED: ${line}`)
