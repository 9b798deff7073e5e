package api

import (
	"context"
)

// AgentMember is a server of the region.
type AgentMember struct {
	Name   string
	Addr   string
	Port   uint16
	Tags   map[string]string // role, region, dc, build, …
	Status string            // "alive", "failed" or "left"
}

// ServerMembers lists the servers of the region.
type ServerMembers struct {
	ServerName   string
	ServerRegion string
	ServerDC     string
	Members      []*AgentMember
}

// AgentSelf is what an agent says about itself.
type AgentSelf struct {
	Config map[string]any               `json:"config"`
	Stats  map[string]map[string]string `json:"stats"`
	Member AgentMember                  `json:"member"`
}

// AgentHealth says whether an agent's parts work. A part that the agent does not
// have is nil.
type AgentHealth struct {
	Client *AgentPartHealth `json:"client,omitempty"`
	Server *AgentPartHealth `json:"server,omitempty"`
}

// AgentPartHealth is the health of one part.
type AgentPartHealth struct {
	OK      bool   `json:"ok"`
	Message string `json:"message"`
}

// Leader is the address of the region's leader; empty if there is none now.
func (c *Client) Leader(ctx context.Context) (string, error) {
	var out string
	_, err := c.read(ctx, "/status/leader", nil, nil, &out)
	return out, err
}

// Peers are the addresses of the region's voting servers.
func (c *Client) Peers(ctx context.Context) (out []string, err error) {
	_, err = c.read(ctx, "/status/peers", nil, nil, &out)
	return out, err
}

// Regions lists the regions known to the one that answers.
func (c *Client) Regions(ctx context.Context) (out []string, err error) {
	_, err = c.read(ctx, "/regions", nil, nil, &out)
	return out, err
}

// Self describes the agent that answers.
func (c *Client) Self(ctx context.Context) (*AgentSelf, error) {
	var out AgentSelf
	_, err := c.read(ctx, "/agent/self", nil, nil, &out)
	return &out, err
}

// Members lists the servers of the region.
func (c *Client) Members(ctx context.Context) (*ServerMembers, error) {
	var out ServerMembers
	_, err := c.read(ctx, "/agent/members", nil, nil, &out)
	return &out, err
}

// Health says whether the agent's parts work. An unhealthy agent answers 500
// with the words of the part that does not.
func (c *Client) Health(ctx context.Context) (*AgentHealth, error) {
	var out AgentHealth
	_, err := c.read(ctx, "/agent/health", nil, nil, &out)
	return &out, err
}
