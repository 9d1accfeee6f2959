// SPDX-License-Identifier: Apache-2.0

package httpload

import (
	"net"
	"strings"

	"github.com/valyala/fasthttp"
)

// template is a text with a key in some places: what lies around them.
type template []string

func newTemplate(text string) template { return strings.Split(text, keyPlaceholder) }

// keyed reports whether there is a place for a key.
func (t template) keyed() bool { return len(t) > 1 }

// appendTo appends the text with a key in its places.
func (t template) appendTo(dst []byte, key string) []byte {
	for i, text := range t {
		if i > 0 {
			dst = append(dst, key...)
		}
		dst = append(dst, text...)
	}
	return dst
}

// client is one connection and the request that goes over it again and again. It belongs to one goroutine.
type client struct {
	host      fasthttp.HostClient
	request   fasthttp.Request
	response  fasthttp.Response
	url, body template
	headers   []header
	buf       []byte
}

// answerBytesMax is the longest body of an answer. Each connection keeps its last one: a server that never ends its
// answer would fill the memory.
const answerBytesMax = 16 << 20

type header struct {
	name  string
	value template
}

func newClient(c Config, dial func(string) (net.Conn, error)) *client {
	k := &client{url: newTemplate(c.URL), body: newTemplate(c.Body)}
	k.request.SetRequestURI(c.URL)
	k.request.URI().DisablePathNormalizing = true
	k.host = fasthttp.HostClient{
		Addr: address(k.request.URI()), IsTLS: string(k.request.URI().Scheme()) == "https", Dial: dial,
		MaxConns: 1, ReadTimeout: c.Timeout, WriteTimeout: c.Timeout, MaxResponseBodySize: answerBytesMax,
		NoDefaultUserAgentHeader: true, DisablePathNormalizing: true,
		MaxIdemponentCallAttempts: 1, // A second attempt would hide the first one's failure.
	}
	k.request.Header.SetMethod(c.Method)
	for _, line := range c.Headers {
		name, value, _ := strings.Cut(line, ":")
		value = strings.TrimSpace(value)
		k.request.UseHostHeader = k.request.UseHostHeader || strings.EqualFold(name, "host")
		k.headers = append(k.headers, header{name, newTemplate(value)})
		k.request.Header.Set(name, value)
	}
	if c.Body != "" {
		k.request.SetBodyString(c.Body)
	}
	return k
}

// address is where a URL's host listens.
func address(u *fasthttp.URI) string {
	host := string(u.Host())
	if _, _, err := net.SplitHostPort(host); err == nil {
		return host
	}
	port := "80"
	if string(u.Scheme()) == "https" {
		port = "443"
	}
	return net.JoinHostPort(strings.Trim(host, "[]"), port)
}

// do sends the request with a key and returns the status of the answer.
func (k *client) do(key string) (status int, err error) {
	if key != "" {
		k.setKey(key)
	}
	if err := k.host.Do(&k.request, &k.response); err != nil {
		return 0, err
	}
	return k.response.StatusCode(), nil
}

func (k *client) setKey(key string) {
	if k.url.keyed() {
		k.buf = k.url.appendTo(k.buf[:0], key)
		k.request.SetRequestURIBytes(k.buf)
	}
	if k.body.keyed() {
		k.buf = k.body.appendTo(k.buf[:0], key)
		k.request.SetBody(k.buf)
	}
	for _, h := range k.headers {
		if h.value.keyed() {
			k.buf = h.value.appendTo(k.buf[:0], key)
			k.request.Header.SetBytesV(h.name, k.buf)
		}
	}
}
