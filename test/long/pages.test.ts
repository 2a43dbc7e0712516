import { pageProperties } from '../columnar/pageproperties.ts'
import { amount } from '../support/scope.ts'

pageProperties(amount({ sample: 150, all: 500 }))
