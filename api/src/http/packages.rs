//! What apt, dnf and the person at the terminal fetch: `/packages/…` and `/install.sh`. It is there where `OSM_PACKAGES_DIR` is
//! set, and open to everybody: what makes a package trusted is its signature.

use std::sync::Arc;

use poem::{
    IntoResponse, Response, handler,
    web::{Data, Path, StaticFileRequest},
};

use crate::{
    error::{Error, Refusal, Result},
    http::state::Http,
    packages::Packages,
};

/// With ranges and conditions, which apt and dnf use.
#[handler]
pub async fn file(Path(path): Path<String>, wanted: StaticFileRequest, Data(http): Data<&Arc<Http>>) -> poem::Result<Response> {
    let file = offered(http)?.file(&path).await.ok_or(Error::Refused(Refusal::NoSuchFile))?;
    Ok(wanted.create_response(file, true, false)?.into_response())
}

#[handler]
pub fn script(Data(http): Data<&Arc<Http>>) -> Result<Response> {
    Ok(Response::builder().content_type("text/x-shellscript; charset=utf-8").body(offered(http)?.script.clone()))
}

fn offered(http: &Http) -> Result<&Packages> {
    Ok(http.core.packages.as_ref().ok_or(Refusal::NoSuchFile)?)
}
