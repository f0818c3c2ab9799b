//! The burst a listener asks for itself, by the URL or by a header.

use crate::kit::http::{ask, get};
use crate::kit::server::Server;
use crate::kit::source::Source;

#[test]
fn what_is_no_burst_is_refused_with_the_cure_where_it_matters() {
    let server = Server::start();
    let _source = Source::start(&server, "/live");
    for target in ["/live?burst=lots", "/live?burst=", "/live?burst=-1"] {
        let answer = get(&server, target);
        assert_eq!(answer.status, 400, "{target}");
        assert!(answer.text().contains("?burst=10"), "{}", answer.text());
    }
    let answer = ask(&server, "GET /live HTTP/1.1\r\nX-Floe-Burst: lots\r\n\r\n");
    assert_eq!(answer.status, 400);
    assert_eq!(get(&server, "/status-json.xsl?burst=lots").status, 200);
    assert_eq!(get(&server, "/none?burst=lots").status, 404);
}
