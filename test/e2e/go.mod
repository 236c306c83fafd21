module github.com/seed-240d5494/caddy-impersonate/test/e2e

go 1.26.0

require github.com/seed-240d5494/caddy-impersonate v0.0.0

require (
	github.com/chromedp/cdproto v0.159.0 // indirect
	github.com/chromedp/chromedp v0.23.0 // indirect
	github.com/compose-spec/compose-go/v2 v2.16.2 // indirect
	github.com/go-json-experiment/json v0.0.0-20260213210345-44df1a37e875 // indirect
)

replace github.com/seed-240d5494/caddy-impersonate => ../..
