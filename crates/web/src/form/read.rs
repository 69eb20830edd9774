//! The parameters of a request: of its URL, and of its body by the body's type.
//!
//! Facts: Go's `ParseForm` and `FormValue`. COMPAT: a form in parts counts for every method, but only where Prometheus asks for
//! single values before it reads the form, and its values come behind those of the URL.

use http::{Method, header};
use narthex_net::server::{BodyError, Request};

use super::media_type::MediaType;
use super::{Form, multipart};
use crate::api_error::{ApiError, ErrorType};

/// Largest posted form, bytes; Go's default.
const MAX_FORM: usize = 10 << 20;

/// Which bodies an endpoint reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bodies {
    /// Forms.
    Forms,
    /// Forms, and forms in parts.
    FormsAndParts,
}

/// The parameters of the URL and, when a form was posted, of the body.
pub(crate) async fn read(request: Request, bodies: Bodies) -> Result<Form, ApiError> {
    let query = request.head.uri.query().unwrap_or("").to_owned();
    let posted = matches!(request.head.method, Method::POST | Method::PUT | Method::PATCH);
    let Some(kind) = request.head.headers.get(header::CONTENT_TYPE) else {
        return Ok(Form::parse(&query, ""));
    };
    let (kind, fault) = MediaType::parse(&String::from_utf8_lossy(kind.as_bytes()));
    // COMPAT: who only has a URL is not asked for the type of its body.
    let fault = fault.filter(|_| posted);
    if posted && kind.kind == "application/x-www-form-urlencoded" {
        let body = request.body.read(MAX_FORM).await.map_err(|error| refused(&error))?;
        return Ok(Form::parse(&query, &String::from_utf8_lossy(&body)).with_fault(fault));
    }
    let form = Form::parse(&query, "").with_fault(fault);
    let boundary = kind.parameter("boundary").to_owned();
    if bodies == Bodies::Forms || kind.kind != "multipart/form-data" || boundary.is_empty() {
        return Ok(form);
    }
    let body = request.body.read(MAX_FORM).await.map_err(|error| refused(&error))?;
    Ok(form.with_parts(multipart::parse(&body, &boundary).unwrap_or_default()))
}

fn refused(error: &BodyError) -> ApiError {
    let reason = match error {
        BodyError::TooLarge { .. } => "http: POST too large".to_owned(),
        _ => error.to_string(),
    };
    ApiError::new(ErrorType::BadData, format!("error parsing form values: {reason}"))
}
