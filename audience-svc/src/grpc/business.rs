//! `BusinessService`.

use proto::audience::v1::{
    GetBusinessRequest, GetBusinessResponse, PutBusinessRequest, PutBusinessResponse,
    business_service_server::BusinessService,
};
use service_kit::grpc::open;
use tonic::{Request, Response, Status, async_trait};

use super::{Grpc, shape};
use crate::domain::Business;

#[async_trait]
impl BusinessService for Grpc {
    async fn put_business(
        &self,
        request: Request<PutBusinessRequest>,
    ) -> Result<Response<PutBusinessResponse>, Status> {
        let (caller, message, bad) = open(request)?;
        bad.finish()?;
        let key = self.service.request(&caller, "put_business", &message.request_id, &message);
        let business = Business {
            business_id: message.business_id,
            display_name: message.display_name,
            owner_id: message.owner_id,
            created_at: self.service.now(),
        };
        let stored = self.service.put_business(&key, business).await?;
        Ok(Response::new(PutBusinessResponse { business: Some(shape::business(stored)) }))
    }

    async fn get_business(
        &self,
        request: Request<GetBusinessRequest>,
    ) -> Result<Response<GetBusinessResponse>, Status> {
        let (_, message, bad) = open(request)?;
        bad.finish()?;
        let found = self.service.get_business(&message.business_id).await?;
        Ok(Response::new(GetBusinessResponse { business: Some(shape::business(found)) }))
    }
}
