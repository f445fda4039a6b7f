import { describe, expect, it } from 'vitest'
import { holderOf } from '../../../functions/lib/locks/evidence/holder.ts'

const vpc = { namespace: 'flux-system', name: 'vpc' }
const by = (user: string, host: string) => ({ user, host })

describe('a lock is held by the runner of its owner', () => {
  it.each(['runner', 'root', ''])('whatever the user is called: "%s"', (user) => {
    expect(holderOf(by(user, 'vpc-tf-runner'), vpc)).toEqual({ runner: 'vpc-tf-runner' })
  })

  it.each([
    ['63 characters', 'a'.repeat(53), 'a'.repeat(53)],
    ['64 characters', 'a'.repeat(54), 'a'.repeat(54)],
    ['a cut in the middle', 'a'.repeat(60), 'a'.repeat(60)],
    ['a cut behind a dash', `${'a'.repeat(62)}-b`, 'a'.repeat(62)],
    ['a cut behind several', `${'a'.repeat(60)}.-.b`, 'a'.repeat(60)],
  ])('whose pod has a name of %s', (_what, name, beginning) => {
    const host = `${name}-tf-runner`.slice(0, 63).replace(/[-.]*$/, '')
    expect(host.startsWith(beginning)).toBe(true)
    expect(holderOf(by('runner', host), { namespace: 'flux-system', name })).toEqual({ runner: `${name}-tf-runner` })
  })
})

describe('a lock is held by somebody else', () => {
  it.each([
    ['a laptop', by('ana', 'laptop'), vpc, 'ana@laptop holds it, which is not the runner of Terraform/flux-system/vpc'],
    ['the runner of another object', by('runner', 'db-tf-runner'), vpc, 'runner@db-tf-runner holds it'],
    ['a name with the runner’s in it', by('runner', 'my-vpc-tf-runner'), vpc, 'which is not the runner'],
    ['no host', by('ana', ''), vpc, 'ana holds it, on a host that is not named'],
    ['nobody', by('', ''), vpc, 'somebody holds it, on a host that is not named'],
    [
      'a runner without an owner',
      by('runner', 'vpc-tf-runner'),
      undefined,
      'no object of the fleet has its state there',
    ],
    ['no record', undefined, vpc, 'its record does not say who holds it'],
  ])('%s', (_what, record, owner, why) => {
    expect(holderOf(record, owner)).toEqual({ other: expect.stringContaining(why) })
  })

  it('whose name is one line of printable characters, and not long', () => {
    const holder = holderOf(by('a\n\u001b[2J\u202eb', 'x'.repeat(5_000)), vpc)
    expect(holder).toEqual({ other: expect.stringMatching(/^a \[2J b@x+… holds it, which/) })
    expect(JSON.stringify(holder).length).toBeLessThan(400)
  })

  it('where only a name that needs no cut was cut', () => {
    expect(holderOf(by('runner', 'vpc-tf-runn'), vpc)).toHaveProperty('other')
  })
})
