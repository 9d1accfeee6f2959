// SPDX-License-Identifier: Apache-2.0

// Package mailbox is how batches get from one goroutine to another: a [Ring] from each sender that is
// known, an [Inbox] for everybody else, a [Parker] to sleep until something comes, and the [Gate] that
// holds ingress back.
//
// Nothing here ever makes an internal sender wait (I3): message graphs are cyclic, and a shard that
// waited for a peer could wait for itself. Queues grow instead, and the gate closes.
package mailbox
