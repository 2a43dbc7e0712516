import { pageProperties } from '../columnar/pageproperties.ts'

pageProperties(500)
