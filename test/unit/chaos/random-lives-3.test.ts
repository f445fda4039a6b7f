import { livesFrom, runsPerFile } from './random-lives.ts'

livesFrom(2 * runsPerFile)
