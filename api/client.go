package api

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
)

// Limits and defaults of the client.
const (
	DefaultAddress   = "http://127.0.0.1:4646"
	DialTimeout      = 10 * time.Second
	RequestTimeout   = 60 * time.Second // of a call that neither waits nor streams
	WaitDefault      = 5 * time.Minute  // of a blocking query that gives none
	WaitMax          = 10 * time.Minute // of a blocking query; the region cuts longer ones
	AnswerBytesMax   = 512 << 20
	ErrorBytesMax    = 64 << 10
	idleConnsMax     = 8
	idleConnsTimeout = 90 * time.Second
)

// TokenHeader carries the management token.
const TokenHeader = "X-Nomad-Token"

// LogErrorTrailer carries why a stream of logs broke off, after its last byte.
const LogErrorTrailer = "X-Dunlin-Error"

// Config says where a region is and how to be let in.
type Config struct {
	Address string // "http://host:port", "https://…" or "host:port"; empty: DefaultAddress
	Region  string // the region meant; empty: whichever answers
	Token   string // management token; empty: none

	// TLS files in PEM. Any of them makes an address without scheme https.
	CAFile, CertFile, KeyFile string
	// TLSServerName is the name the server's certificate must carry, when it is
	// not the address's host.
	TLSServerName string
}

// Client talks to one region.
type Client struct {
	base   *url.URL
	region string
	token  string
	http   *http.Client
}

// New prepares a client. It reads the TLS files and connects to nothing.
func New(c Config) (*Client, error) {
	base, err := parseAddress(c)
	if err != nil {
		return nil, err
	}
	tlsConfig, err := c.tls()
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: DialTimeout, KeepAlive: 15 * time.Second}).DialContext,
		TLSClientConfig:       tlsConfig,
		TLSHandshakeTimeout:   DialTimeout,
		MaxIdleConnsPerHost:   idleConnsMax,
		IdleConnTimeout:       idleConnsTimeout,
		ForceAttemptHTTP2:     true,
		ExpectContinueTimeout: time.Second,
	}
	return &Client{base: base, region: c.Region, token: c.Token, http: &http.Client{Transport: transport}}, nil
}

// Close ends idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Address is the base URL of the calls.
func (c *Client) Address() string { return c.base.String() }

func parseAddress(c Config) (*url.URL, error) {
	address := c.Address
	if address == "" {
		address = DefaultAddress
	}
	if !strings.Contains(address, "://") {
		scheme := "http://"
		if c.CAFile != "" || c.CertFile != "" {
			scheme = "https://"
		}
		address = scheme + address
	}
	u, err := url.Parse(address)
	if err != nil {
		return nil, fmt.Errorf("address %q: %w; write for example %s", c.Address, err, DefaultAddress)
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("address %q is not an http or https URL; write for example %s", c.Address, DefaultAddress)
	}
	u.Path, u.RawQuery, u.Fragment = strings.TrimRight(u.Path, "/"), "", ""
	return u, nil
}

func (c Config) tls() (*tls.Config, error) {
	out := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: c.TLSServerName}
	if c.CAFile != "" {
		pem, err := os.ReadFile(c.CAFile)
		if err != nil {
			return nil, fmt.Errorf("CA certificate: %w", err)
		}
		out.RootCAs = x509.NewCertPool()
		if !out.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("CA certificate %s holds no certificate in PEM form", c.CAFile)
		}
	}
	if (c.CertFile == "") != (c.KeyFile == "") {
		return nil, errors.New("a client certificate needs both its file and its key's file")
	}
	if c.CertFile != "" {
		pair, err := tls.LoadX509KeyPair(c.CertFile, c.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("client certificate %s: %w", c.CertFile, err)
		}
		out.Certificates = []tls.Certificate{pair}
	}
	return out, nil
}

// Error is an answer that is not a success.
type Error struct {
	Status  int    // HTTP status
	Message string // the region's words
}

// Error returns the region's words.
func (e *Error) Error() string {
	if e.Message == "" {
		return fmt.Sprintf("the region answered %d %s", e.Status, http.StatusText(e.Status))
	}
	return e.Message
}

// IsStatus reports whether err is an answer of that HTTP status.
func IsStatus(err error, status int) bool {
	var e *Error
	return errors.As(err, &e) && e.Status == status
}

// IsNotFound reports whether err says that the thing asked for does not exist.
func IsNotFound(err error) bool { return IsStatus(err, http.StatusNotFound) }

// QueryOptions narrow a read, or make it wait.
type QueryOptions struct {
	Index     uint64        // answer once the state is newer than this; 0 answers at once
	Wait      time.Duration // at most, when Index is set; 0: WaitDefault
	Stale     bool          // any server may answer
	Prefix    string        // only IDs that begin with it
	Namespace string
}

// QueryMeta says of which state an answer is.
type QueryMeta struct {
	LastIndex   uint64 // the Index to wait on next
	LastContact time.Duration
	KnownLeader bool
}

func (q *QueryOptions) apply(v url.Values) {
	if q == nil {
		return
	}
	if q.Index > 0 {
		v.Set("index", strconv.FormatUint(q.Index, 10))
		v.Set("wait", q.wait().String())
	}
	if q.Stale {
		v.Set("stale", "")
	}
	if q.Prefix != "" {
		v.Set("prefix", q.Prefix)
	}
	if q.Namespace != "" {
		v.Set("namespace", q.Namespace)
	}
}

func (q *QueryOptions) wait() time.Duration {
	if q == nil || q.Index == 0 {
		return 0
	}
	if q.Wait <= 0 {
		return WaitDefault
	}
	return min(q.Wait, WaitMax)
}

// call is one exchange.
type call struct {
	method string
	path   string // below /v1, escaped
	query  url.Values
	body   io.Reader
	size   int64 // of body
	kind   string
}

// send returns the answer of a call that succeeded; the caller closes its body.
func (c *Client) send(ctx context.Context, k call) (*http.Response, error) {
	if k.query == nil {
		k.query = url.Values{}
	}
	if c.region != "" {
		k.query.Set("region", c.region)
	}
	target := c.base.String() + "/v1" + k.path
	if len(k.query) > 0 {
		target += "?" + k.query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, k.method, target, k.body)
	if err != nil {
		return nil, fmt.Errorf("request %s %s: %w", k.method, k.path, err)
	}
	if k.size > 0 {
		req.ContentLength = k.size
	}
	if k.kind != "" {
		req.Header.Set("Content-Type", k.kind)
	}
	if c.token != "" {
		req.Header.Set(TokenHeader, c.token)
	}
	res, err := c.http.Do(req)
	if err != nil {
		return nil, c.unreachable(err)
	}
	if res.StatusCode/100 == 2 {
		return res, nil
	}
	defer res.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(res.Body, ErrorBytesMax)) // what could be read is all there is to say
	return nil, &Error{Status: res.StatusCode, Message: strings.TrimSpace(string(text))}
}

// unreachable says which address did not answer; the library's own words name
// the method and the whole URL, which hides it.
func (c *Client) unreachable(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err
	}
	return fmt.Errorf("no answer from %s: %w", c.base, err)
}

// read performs a GET and decodes the answer into out.
func (c *Client) read(ctx context.Context, path string, q *QueryOptions, extra url.Values, out any) (QueryMeta, error) {
	if extra == nil {
		extra = url.Values{}
	}
	q.apply(extra)
	wait := q.wait()
	ctx, cancel := context.WithTimeout(ctx, RequestTimeout+wait+wait/8) // the region adds up to a sixteenth
	defer cancel()
	res, err := c.send(ctx, call{method: http.MethodGet, path: path, query: extra})
	if err != nil {
		return QueryMeta{}, err
	}
	defer res.Body.Close()
	return queryMeta(res.Header), decode(res.Body, path, out)
}

// write sends a value as JSON and decodes the answer into out, if any.
func (c *Client) write(ctx context.Context, method, path string, query url.Values, in, out any) error {
	ctx, cancel := context.WithTimeout(ctx, RequestTimeout)
	defer cancel()
	k := call{method: method, path: path, query: query}
	if in != nil {
		body, err := json.Marshal(in)
		if err != nil {
			return fmt.Errorf("encode the request: %w", err)
		}
		k.body, k.size, k.kind = bytes.NewReader(body), int64(len(body)), "application/json"
	}
	res, err := c.send(ctx, k)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if out == nil {
		return nil
	}
	return decode(res.Body, path, out)
}

func decode(r io.Reader, path string, out any) error {
	if err := json.NewDecoder(io.LimitReader(r, AnswerBytesMax)).Decode(out); err != nil {
		return fmt.Errorf("the answer to %s does not decode: %w", path, err)
	}
	return nil
}

func queryMeta(h http.Header) QueryMeta {
	var m QueryMeta
	m.LastIndex, _ = strconv.ParseUint(h.Get("X-Nomad-Index"), 10, 64) // absent: 0, which waits for nothing
	ms, _ := strconv.ParseInt(h.Get("X-Nomad-LastContact"), 10, 64)
	m.LastContact = time.Duration(ms) * time.Millisecond
	m.KnownLeader = h.Get("X-Nomad-KnownLeader") == "true"
	return m
}

// segment escapes one part of a path.
func segment[T ~string](s T) string { return url.PathEscape(string(s)) }
