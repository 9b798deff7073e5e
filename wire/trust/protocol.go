package trust

import (
	"fmt"
	"slices"
	"strings"
)

// The protocols, by the name that the TLS handshake negotiates.
const (
	ProtocolEdge = "dunlin-edge/1" // a device's session
	ProtocolRPC  = "dunlin-rpc/1"  // requests to and between servers
	ProtocolRaft = "dunlin-raft/1" // the replicated log
	ProtocolJoin = "dunlin-join/1" // a device's first contact; the token authorises
	// ProtocolRenew is all that an expired certificate may speak: it asks for a new
	// one, and the log says whether its key is known and not revoked.
	ProtocolRenew = "dunlin-renew/1"
)

// admitted is the whole of who may speak what. An empty row means that any key may knock: the join protocol, where no
// certificate exists yet.
var admitted = map[string][]Kind{
	ProtocolEdge:  {KindNode, KindGateway},
	ProtocolRPC:   {KindServer, KindNode, KindOperator},
	ProtocolRaft:  {KindServer},
	ProtocolJoin:  {},
	ProtocolRenew: {KindNode, KindGateway},
}

// Protocols lists all protocols in a fixed order.
func Protocols() []string {
	return []string{ProtocolEdge, ProtocolRPC, ProtocolRaft, ProtocolJoin, ProtocolRenew}
}

// Admit says whether an identity of the given region may speak a protocol; the error names both sides of the misfit.
func Admit(protocol, region string, id Identity) error {
	kinds, ok := admitted[protocol]
	if !ok {
		return fmt.Errorf("unknown protocol %q; known are %s", protocol, strings.Join(Protocols(), ", "))
	}
	if len(kinds) == 0 {
		return nil
	}
	if id.Region != region {
		return fmt.Errorf("%s belongs to region %q; this is region %q", id, id.Region, region)
	}
	if !slices.Contains(kinds, id.Kind) {
		return fmt.Errorf("%s is a %s; %s is for %s only", id, id.Kind, protocol, kindList(kinds))
	}
	return nil
}

func kindList(kinds []Kind) string {
	words := make([]string, len(kinds))
	for i, k := range kinds {
		words[i] = string(k)
	}
	return strings.Join(words, " or ")
}
