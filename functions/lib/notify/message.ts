/** What a person is told: who, what, since when, and what to do now. All of it is one line each, with nothing secret in it. */
export interface Message {
  /** The id of the event: what is sent twice has the same. */
  readonly id: string
  /** Of the event. */
  readonly type: string
  readonly cluster: string | undefined
  /** `attention`: somebody has to do something, or will have to. */
  readonly urgency: 'attention' | 'news'
  readonly title: string
  /** `['Since', '2026-03-02T10:00:00Z']` */
  readonly facts: readonly (readonly [label: string, text: string])[]
  /** The exact next step. */
  readonly next: string
  /** Of the execution. */
  readonly link: string | undefined
}

/** A way to tell people. */
export interface MessageChannel {
  /** `slack`; what has been sent on it is remembered under this name. */
  readonly name: string
  /** Rejects with NotifierUnavailable and NotifierRefused. */
  send(message: Message, giveUpAt: number): Promise<void>
}

/** A message as plain text. */
export function messageText({ title, facts, next, link }: Message): string {
  const lines = facts.map(([label, text]) => `${label}: ${text}`)
  return [title, '', ...lines, '', `Next: ${next}`, ...(link === undefined ? [] : ['', link])].join('\n')
}
