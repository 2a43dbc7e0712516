import { pageProperties } from '../columnar/pageproperties.ts'

pageProperties(3000)
