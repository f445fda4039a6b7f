import { App } from 'aws-cdk-lib'
import { lockstepStacks } from './aws/lockstep-stacks.ts'
import { addRulePacks } from './aws/rule-packs.ts'
import { readFleet } from './fleet.ts'

const app = new App()
addRulePacks(app)
// Another fleet than this project's is synthesized and deployed by the name of its file.
lockstepStacks(app, readFleet(process.env.LOCKSTEP_FLEET_FILE))
app.synth()
