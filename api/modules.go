package api

import (
	"context"
	"io"
	"net/http"
	"net/url"

	"github.com/dunlin-edge/dunlin/fleet"
)

// Modules lists the modules the region holds. q.Prefix narrows by digest.
func (c *Client) Modules(ctx context.Context, q *QueryOptions) (out []*fleet.Module, m QueryMeta, err error) {
	m, err = c.read(ctx, "/modules", q, nil, &out)
	return out, m, err
}

// Module says what the region knows of a module, and what its headers say.
func (c *Client) Module(ctx context.Context, digest string, q *QueryOptions) (out *ModuleDetail, m QueryMeta, err error) {
	m, err = c.read(ctx, "/module/"+segment(digest), q, nil, &out)
	return out, m, err
}

// HasModule reports whether the region holds a module.
func (c *Client) HasModule(ctx context.Context, digest string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, RequestTimeout)
	defer cancel()
	res, err := c.send(ctx, call{method: http.MethodHead, path: "/module/" + segment(digest)})
	if IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, res.Body.Close()
}

// PushModule gives the region a module of that digest ("sha256:…"). The region
// checks it against the bytes and keeps nothing of a push that does not fit.
// Name is for people; sizeBytes must be the number of bytes in r. There is no
// timeout but ctx: links may be slow.
func (c *Client) PushModule(ctx context.Context, digest, name string, r io.Reader, sizeBytes int64) (*fleet.Module, error) {
	res, err := c.send(ctx, call{
		method: http.MethodPut, path: "/module/" + segment(digest), query: url.Values{"name": {name}},
		body: r, size: sizeBytes, kind: "application/wasm",
	})
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	var out fleet.Module
	return &out, decode(res.Body, "/module", &out)
}

// ModuleContent opens a module that the region holds and tells its size in bytes; -1: the
// region did not say. There is no timeout but ctx.
func (c *Client) ModuleContent(ctx context.Context, digest string) (body io.ReadCloser, sizeBytes int64, err error) {
	res, err := c.send(ctx, call{method: http.MethodGet, path: "/module/" + segment(digest) + "/content"})
	if err != nil {
		return nil, 0, err
	}
	return res.Body, res.ContentLength, nil
}

// ModuleDetail is what the region knows of a module and what its headers say.
type ModuleDetail struct {
	fleet.Module
	Language  string // best guess of what it was compiled from; empty: unknown
	Functions int    // defined in the module
	Features  []string
	Imports   []ModuleImport
	Exports   []ModuleExport
	Memories  []ModuleMemory
	Producers []ModuleProducer
}

// ModuleImport is one thing that a module needs from outside.
type ModuleImport struct {
	Module string
	Name   string
	Kind   string // "func", "table", "memory", "global" or "tag"
	Type   string
}

// ModuleExport is one thing that a module offers.
type ModuleExport struct {
	Name string
	Kind string
}

// ModuleMemory is a declared memory, in pages of 64 KiB.
type ModuleMemory struct {
	MinPages uint64
	MaxPages uint64 // meaningful when HasMax
	HasMax   bool
	Shared   bool
	Is64     bool
	Imported bool
}

// ModuleProducer is a tool that took part in making the file.
type ModuleProducer struct {
	Field   string // "language", "processed-by" or "sdk"
	Name    string
	Version string
}
