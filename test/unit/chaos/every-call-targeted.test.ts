import { everyCall } from './every-call.ts'

everyCall('targeted')
