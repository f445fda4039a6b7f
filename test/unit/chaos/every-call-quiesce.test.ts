import { everyCall } from './every-call.ts'

everyCall('quiesce')
