import { everyCall } from './every-call.ts'

everyCall('controller-assisted')
