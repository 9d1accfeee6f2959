// SPDX-License-Identifier: Apache-2.0

package http

import (
	"net/url"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/engine/statefun"
)

func address(namespace, name, id string) statefun.Address {
	return statefun.Address{Type: statefun.FunctionType{Namespace: namespace, Name: name}, ID: id}
}

// The path decides who receives a message, so what is not exactly right is refused, never repaired.
func TestParseTarget(t *testing.T) {
	tests := []struct {
		in      string
		want    target
		refused bool
	}{
		{in: "/shop/cart/7", want: target{to: address("shop", "cart", "7")}},
		{in: "/call/shop/cart/7", want: target{verb: call, to: address("shop", "cart", "7")}},
		{in: "/ingress", want: target{verb: route}},
		{in: "http://host:80/shop/cart/7", want: target{to: address("shop", "cart", "7")}},
		{in: "HTTPS://host/ingress", want: target{verb: route}},
		{in: "/com.acme%2Fshop/cart/a%2Fb", want: target{to: address("com.acme/shop", "cart", "a/b")}},
		{in: "/shop/cart/%25%32%46", want: target{to: address("shop", "cart", "%2F")}}, // Decoded once.
		{in: "/shop/cart/a+b", want: target{to: address("shop", "cart", "a+b")}},
		{in: "/shop/cart/..", want: target{to: address("shop", "cart", "..")}},
		{in: "/./../x", want: target{to: address(".", "..", "x")}},
		{in: "/shop/cart/%00%0d%0a%ff", want: target{to: address("shop", "cart", "\x00\r\n\xff")}},
		{in: "/shop/cart/ł\xff", want: target{to: address("shop", "cart", "ł\xff")}},
		{in: "/%63all/cart/7", want: target{to: address("call", "cart", "7")}},
		{in: "/ingress/cart/7", want: target{to: address("ingress", "cart", "7")}},
		{in: "/call/call/call/call", want: target{verb: call, to: address("call", "call", "call")}},
		{in: "", refused: true},
		{in: "*", refused: true},
		{in: "/", refused: true},
		{in: "shop/cart/7", refused: true},
		{in: "/shop/cart", refused: true},
		{in: "/shop/cart/", refused: true},
		{in: "/shop//7", refused: true},
		{in: "//cart/7", refused: true},
		{in: "/shop/cart/7/", refused: true},
		{in: "/shop/cart/7/8", refused: true},
		{in: "/call/cart/7", refused: true}, // A call whose id was forgotten, not namespace "call".
		{in: "/call", refused: true},
		{in: "/ingress/", refused: true},
		{in: "/shop/a%2Fb/7", refused: true}, // Would be the function type shop/a/b, as shop%2Fa/b is.
		{in: "/shop/cart/7?x=1", refused: true},
		{in: "/shop/cart/7?", refused: true},
		{in: "/shop/cart/7#x", refused: true},
		{in: "/shop/cart/%", refused: true},
		{in: "/shop/cart/%2", refused: true},
		{in: "/shop/cart/%2g", refused: true},
		{in: "/shop/%/%2F", refused: true}, // An escape does not reach over a slash.
		{in: "/shop/cart/a\nb", refused: true},
		{in: "http://host", refused: true},
		{in: "ftp://host/shop/cart/7", refused: true},
	}
	for _, tt := range tests {
		t.Run(tt.in, func(t *testing.T) {
			got, p := parseTarget([]byte(tt.in))
			if (p != nil) != tt.refused || got != tt.want {
				t.Errorf("parseTarget(%q) = %+v, %v; want %+v, refused: %t", tt.in, got, p, tt.want, tt.refused)
			}
			if p != nil && (p.Status != 400 || p.Code != "bad_path") {
				t.Errorf("parseTarget(%q): status %d %s, want 400 bad_path", tt.in, p.Status, p.Code)
			}
		})
	}
}

// The engine may keep an address for ever, the server uses the request's bytes again.
func TestParseTargetCopies(t *testing.T) {
	uri := []byte("/shop/cart/7")
	got, p := parseTarget(uri)
	if p != nil {
		t.Fatal(p.Message)
	}
	copy(uri, "/xxxx/xxxx/x")
	if want := address("shop", "cart", "7"); got.to != want {
		t.Errorf("the address became %v, want %v", got.to, want)
	}
}

// modelTarget does for a path what parseTarget does, with net/url.
func modelTarget(path string) (target, bool) {
	// net/url also takes opaque forms such as "a:b"; a path of ours begins with a slash.
	if _, err := url.ParseRequestURI(path); err != nil || path[0] != '/' || strings.ContainsAny(path, "?#") {
		return target{}, false
	}
	if path == "/ingress" {
		return target{verb: route}, true
	}
	t := target{}
	if strings.HasPrefix(path, "/call/") {
		t.verb, path = call, path[len("/call"):]
	}
	parts := strings.Split(path, "/")
	if len(parts) != 4 {
		return target{}, false
	}
	for i, part := range parts {
		var err error
		if parts[i], err = url.PathUnescape(part); err != nil || i > 0 && part == "" {
			return target{}, false
		}
	}
	if strings.Contains(parts[2], "/") {
		return target{}, false
	}
	t.to = address(parts[1], parts[2], parts[3])
	return t, true
}

func FuzzPath(f *testing.F) {
	for _, s := range []string{
		"/shop/cart/7", "/call/shop/cart/7", "/ingress", "/a%2Fb/c/d%2f%25", "/a/b/%", "/a/b/%zz", "//a/b/c", "/a/b/c?d",
		"/a/b/c#d", "/a/%2F/c", "http://h/a/b/c", "A:/0/0/0", "/a/b/\xff", "/a/b/ ", "/a/b/..", "*", "", "/call/a/b", "/%63all/a/b",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, uri string) {
		got, p := parseTarget([]byte(uri))
		path := uri
		if origin, rest, ok := strings.Cut(uri, "://"); ok && !strings.Contains(origin, "/") {
			_, path, _ = strings.Cut(rest, "/") // The absolute form means what its path means.
			path = "/" + path
			if p != nil {
				return // Its origin may be what is refused.
			}
		}
		want, ok := modelTarget(path)
		if (p == nil) != ok || got != want {
			t.Errorf("parseTarget(%q) = %+v, %v; net/url says %+v, %t", uri, got, p, want, ok)
		}
	})
}
