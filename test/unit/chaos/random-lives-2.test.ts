import { livesFrom, runsPerFile } from './random-lives.ts'

livesFrom(1 * runsPerFile)
