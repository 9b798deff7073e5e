package state

import (
	"encoding/json"
	"fmt"
	"iter"

	"github.com/dunlin-edge/dunlin/fleet"
)

// Identities stand in a tree of their own, by the name in the certificate: a
// device has one from its join on, and a node only from its first registration.
// A node's row points to its identity, so that a scheduler need not look it up.

// TopicRevoked is touched when an identity is revoked. Identities have no integer keys, so this one stands for all of them:
// who watches the whole table is woken by each device that comes for the first time, and would look at all for each.
var TopicRevoked = Topic{Table: TableIdentities, Key: 1}

// Identity returns what is known of a certificate's holder ("node/UUID"), or nil.
func (v *View) Identity(peer string) *fleet.NodeIdentity {
	return get(v.t.identities, &fleet.NodeIdentity{Peer: peer})
}

// Identities yields all identities by name.
func (v *View) Identities() iter.Seq[*fleet.NodeIdentity] { return scan(v.t.identities) }

// PutIdentity inserts or replaces an identity, and keeps the row of its node
// pointing to it. The value must not be changed afterwards.
func (x *Txn) PutIdentity(i *fleet.NodeIdentity, index uint64) {
	x.t.identities.Set(i)
	x.touched.tables[TableIdentities] = true
	if i.Revoked() {
		x.touched.row(TopicRevoked.Table, TopicRevoked.Key)
	}
	if row := x.nodeOfPeer(i.Peer); row != nil {
		n := *row
		n.Identity = i
		x.PutNode(n, index)
	}
}

func (x *Txn) nodeOfPeer(peer string) *Node {
	const prefix = "node/"
	if len(peer) <= len(prefix) || peer[:len(prefix)] != prefix {
		return nil
	}
	id, err := fleet.ParseUUID(peer[len(prefix):])
	if err != nil {
		return nil
	}
	return x.NodeByID(id)
}

// identity loads a record of a checkpoint; the node's row, if any, came before.
func (l *loader) identity(body []byte) error {
	var i fleet.NodeIdentity
	if err := json.Unmarshal(body, &i); err != nil {
		return err
	}
	if i.Peer == "" {
		return fmt.Errorf("an identity has no name")
	}
	l.x.t.identities.Set(&i)
	if row := l.x.nodeOfPeer(i.Peer); row != nil {
		row.Identity = &i
	}
	return nil
}
